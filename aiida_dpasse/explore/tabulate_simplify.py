"""Table of the iterations of a simplification."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Runs


@calcfunction
def tabulate_simplify(runs: orm.Dict, **inputs: dict[str, orm.Data]) -> orm.Dict:
    """Tabulate the iterations of a simplification.

    :param runs: records of the iterations.
    :param inputs: namespaces by the id of the iteration: ``frames`` of the training, and ``statistics`` of the
        remaining frames (see `select_informative`).
    :returns: ``iterations``, a list with record, number of frames, statistics and accurate fraction of each iteration.
    """
    frames: dict[str, Any] = inputs.get('frames', {})
    rows = []
    for key, run in Runs.from_dict(runs.get_dict()).items():
        if key not in frames:
            continue
        statistics = inputs['statistics'][key].get_dict()
        fraction = statistics['accurate'] / statistics['sampled']
        rows.append({**run.to_dict(), 'frames': frames[key].frames, **statistics, 'accurate_fraction': fraction})
    return orm.Dict({'iterations': rows})
