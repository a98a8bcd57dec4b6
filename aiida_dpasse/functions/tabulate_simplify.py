"""The iteration table of a simplification."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def tabulate_simplify(**parts: orm.Data) -> orm.Dict:
    """Return ``iterations``: for each, the frames trained on and what the rest was.

    ``parts`` holds ``frames_000`` and ``statistics_000`` (see `select_informative`) of each iteration.
    """
    numbers = sorted({int(label.rpartition('_')[2]) for label in parts})
    rows = []
    for index in numbers:
        statistics = parts[f'statistics_{index:03d}'].get_dict()
        fraction = statistics['accurate'] / statistics['sampled']
        trained = parts[f'frames_{index:03d}'].frames
        rows.append({'iteration': index, 'frames': trained, **statistics, 'accurate_fraction': fraction})
    return orm.Dict({'iterations': rows})
