"""Select the labelled frames that a committee predicts with a large deviation."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import take_frames
from aiida_dpasse.learning.selection import CANDIDATE, choose, classify, count_classes
from aiida_dpasse.structures.diversity import describe_sets, farthest_points


@calcfunction
def select_informative(frames: FramesData, deviation: orm.ArrayData, parameters: orm.Dict) -> dict[str, orm.Data]:
    """Select labelled frames by the deviation of a committee.

    :param frames: labelled frames.
    :param deviation: ``max_devi_f`` (eV/A) of each frame, from `dpasse.evaluate`.
    :param parameters: ``low`` and ``high`` (eV/A; None for no upper level), ``max_candidates``, ``choice`` ('random' or
        'diverse') and ``seed``.
    :returns: ``statistics`` and, unless empty, the ``chosen`` frames and the ``rest``, with labels and origin.
    """
    settings = parameters.get_dict()
    sets = frames.sets()
    values = np.asarray(deviation.get_array('max_devi_f'), dtype=float)
    high = np.inf if settings['high'] is None else settings['high']
    classes = classify(values, settings['low'], high)
    places = [(member, frame) for member, item in enumerate(sets) for frame in range(len(item))]
    candidates = np.flatnonzero(classes == CANDIDATE)
    groups = [sets[places[index][0]].formula for index in candidates]
    if settings['choice'] == 'diverse':
        picked = farthest_points(describe_sets(sets, candidates), groups, settings['seed'], settings['max_candidates'])
    else:
        picked = choose(groups, settings['seed'], settings['max_candidates'])
    chosen = candidates[picked]
    finite = values[np.isfinite(values)]
    statistics = {
        **count_classes(classes),
        'chosen': len(chosen),
        'deviation_median': float(np.median(finite)) if len(finite) else None,
    }
    outputs: dict[str, orm.Data] = {'statistics': orm.Dict(statistics)}
    for name, wanted in (('chosen', chosen), ('rest', np.setdiff1d(np.arange(len(places)), chosen))):
        if len(wanted):
            outputs[name] = FramesData.from_sets(take_frames(sets, wanted))
    return outputs
