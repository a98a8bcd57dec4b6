"""Convert the parameters of `dpgen simplify` for labelled data into those of `dpasse.simplify`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from aiida_dpasse.dpgen.counterparts import leave_counterparts
from aiida_dpasse.dpgen.keys import Keys, listed, number, whole
from aiida_dpasse.dpgen.labels import OF_PROGRAMS
from aiida_dpasse.dpgen.training import read_committee
from aiida_dpasse.unreadable import UnreadableError

_UNUSED = 'the data have labels: nothing is run for them'
#: Keys of `simplify` without a counterpart: the reason, and the values that have no effect.
SIMPLIFY_KEYS: dict[str, tuple[str, tuple[Any, ...]]] = {
    **{
        f'{kind}_e_trust_{end}': ('frames are chosen by the deviation of the forces only', (1e10,))
        for kind in ('model_devi', 'true_error')
        for end in ('lo', 'hi')
    },
    **{
        f'true_error_f_trust_{end}': ('frames are chosen by the deviation of the committee, not by its error', (1e10,))
        for end in ('lo', 'hi')
    },
    'init_data_prefix': ('the first frames are drawn from `pick_data`', ()),
    'init_data_sys': ('the first frames are drawn from `pick_data`: give both as `frames`', ([],)),
    'sys_configs': (_UNUSED, ([],)),
    'sys_configs_prefix': (_UNUSED, ()),
    'sys_format': (_UNUSED, ()),
    'fp_style': (_UNUSED, ('none',)),
    'fp_task_max': (_UNUSED, ()),
    'ratio_failed': (_UNUSED, ()),
    **dict.fromkeys(OF_PROGRAMS, (_UNUSED, ())),
}


def read_simplify(keys: Keys, folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[Path]]:
    """Return the parameters of `dpasse.simplify`, the training input of its committee, and the existing data.

    :param keys: keys of the input of `dpgen simplify`.
    :param folder: folder that relative paths refer to.
    :raises UnreadableError: if the data have no labels, a required key is missing, or a value is not accepted by
        DP-GEN.
    """
    if keys.take('labeled', 'nothing: `dpasse.simplify` selects labelled frames', False) is not True:
        raise UnreadableError(
            'This is an input of `dpgen simplify` for data without labels (`labeled` is not true): label them with '
            '`dpasse.label` and select with `dpasse.simplify`, or explore with `dpasse.active_learning`.'
        )
    committee, training = read_committee(keys)
    levels = {
        ours: number(keys.need(f'model_devi_f_trust_{end}', ours), f'model_devi_f_trust_{end}', least=0)
        for ours, end in (('low', 'lo'), ('high', 'hi'))
    }
    overrides = {
        'initial': whole(keys.need('init_pick_number', 'initial'), 'init_pick_number'),
        'max_candidates': whole(keys.need('iter_pick_number', 'max_candidates'), 'iter_pick_number'),
        **levels,
        'committee': committee,
    }
    if 'fp_accurate_threshold' in keys:
        name = 'fp_accurate_threshold'
        overrides['accurate_fraction'] = number(keys.take(name, 'accurate_fraction'), name, above=0)
    given = keys.need('pick_data', 'frames')
    found = []
    for index, name in enumerate(listed(given if isinstance(given, list) else [given], 'pick_data')):
        path = folder / str(name)
        if os.path.isdir(path):
            found.append(path)
        else:
            keys.ledger.leave(f'pick_data[{index}]', name, 'no such folder is here')
    for name, (why, off) in SIMPLIFY_KEYS.items():
        keys.leave(name, why, off)
    for name in keys.remaining():
        if name.startswith('model_devi_'):
            keys.leave(name, 'no dynamics is run', ([], False))
    leave_counterparts(keys)
    return overrides, training, found
