"""The iteration table of a simplification."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Runs


@calcfunction
def tabulate_simplify(runs: orm.Dict, **inputs: dict[str, orm.Data]) -> orm.Dict:
    """Return ``iterations``: for each, its record, the frames trained on and what the rest was.

    :param runs: the records of the iterations.
    :param inputs: by id of the iteration: ``frames`` and ``statistics`` (see `select_informative`).
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
