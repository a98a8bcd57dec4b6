"""Select frames that potentials visited in failed dynamics, for labelling."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import take_frames
from aiida_dpasse.labels.admission import limits_of, objection_to_geometry
from aiida_dpasse.learning.selection import first_of_each
from aiida_dpasse.structures.diversity import describe_sets, farthest_points


@calcfunction
def select_visited(parameters: orm.Dict, **inputs: dict[str, FramesData]) -> dict[str, orm.Data]:
    """Select the most different of the visited frames, each once.

    The statistics satisfy visited = known + close + chosen + left_over.

    :param parameters: ``max_frames``, ``minimum_contact`` (fraction of the sum of the covalent radii: frames with a
        closer pair of atoms have exploded and are not selected) and ``seed``.
    :param inputs: namespaces ``visited``, the visited frames by their origin, and ``known``, labelled frames that are
        not selected again.
    :returns: ``statistics`` and, if any are selected, ``frames`` with their sources, steps and deviations.
    """
    settings = parameters.get_dict()
    sets = [item for _, node in sorted(inputs['visited'].items()) for item in node.sets()]
    known = {identity for node in inputs.get('known', {}).values() for identity in node.ids()}
    places = [(item, frame) for item in sets for frame in range(len(item))]
    new = np.flatnonzero(first_of_each([str(item.ids[frame]) for item, frame in places], known))
    limits = limits_of(
        {'minimum_contact': settings['minimum_contact']}, {symbol for item in sets for symbol in item.symbols}
    )
    apart = np.array([i for i in new if objection_to_geometry(*places[i], limits) is None], dtype=int)
    formulas = [places[i][0].formula for i in apart]
    picked = farthest_points(describe_sets(sets, apart), formulas, settings['seed'], settings['max_frames'])
    chosen = apart[picked]
    statistics = {
        'visited': len(places),
        'known': len(places) - len(new),
        'close': len(new) - len(apart),
        'chosen': len(chosen),
        'left_over': len(apart) - len(chosen),
    }
    outputs: dict[str, orm.Data] = {'statistics': orm.Dict(statistics)}
    if len(chosen):
        taken = [item.with_origin(reasons='visited in failed dynamics') for item in take_frames(sets, chosen)]
        outputs['frames'] = FramesData.from_sets(taken)
    return outputs
