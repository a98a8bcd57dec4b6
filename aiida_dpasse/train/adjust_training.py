"""Change the parameters of a training that failed, so that it can be started again."""

from __future__ import annotations

import copy
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.deepmd.epochs import batch_atoms
from aiida_dpasse.deepmd.lcurve import LearningCurve
from aiida_dpasse.deepmd.multitask import data_sections

#: A diverged training starts again with this fraction of its learning rate.
LEARNING_RATE_FACTOR = 0.3
#: Seconds between two looks at a learning curve.
WATCH_INTERVAL = 60


@calcfunction
def watch_training(parameters: orm.Dict) -> orm.Dict:
    """Return the monitor that stops a diverged training, no more often asked than its curve can have grown."""
    return orm.Dict({'entry_point': 'dpasse.diverged', 'minimum_poll_interval': WATCH_INTERVAL})


@calcfunction
def last_good_step(learning_curve: orm.ArrayData, results: orm.Dict) -> orm.Int:
    """Return the largest step whose checkpoint is sure to be from before the divergence, 0 if none is.

    A run that went wrong from its first row on casts doubt on the checkpoint that it started from.
    """
    columns = {name: learning_curve.get_array(name) for name in learning_curve.get_arraynames()}
    return orm.Int(LearningCurve(columns).last_good_step or max(results['restarted_from'] - 1, 0))


@calcfunction
def lower_learning_rate(parameters: orm.Dict) -> orm.Dict:
    """Return parameters whose learning rate starts lower and, in proportion, stops lower."""
    content = copy.deepcopy(parameters.get_dict())
    rate = content['input']['learning_rate']
    rate['start_lr'] = rate.get('start_lr', 1e-3) * LEARNING_RATE_FACTOR
    if 'stop_lr' in rate:
        rate['stop_lr'] *= LEARNING_RATE_FACTOR
    return orm.Dict(content)


@calcfunction
def reduce_batch(parameters: orm.Dict) -> orm.Dict:
    """Return parameters with half the batch, of every head: frames if given as a number, atoms if ``auto``."""
    return orm.Dict(smaller_batch(parameters.get_dict()) or parameters.get_dict())


def smaller_batch(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return training parameters with half the batch size, None if it cannot be halved.

    Batches by system or of another kind than a number and ``auto:N`` go to ``auto``.
    """
    changed = copy.deepcopy(content)
    for _, section in data_sections(changed['input']):
        data = section.setdefault('training_data', {})
        data['batch_size'] = _half(data.get('batch_size', 'auto'))
    return changed if changed != content else None


def _half(size: Any) -> Any:
    if isinstance(size, int):
        return max(size // 2, 1)
    if isinstance(size, str) and size.partition(':')[0] == 'auto':
        return f'auto:{max(batch_atoms(size) // 2, 1)}'
    return 'auto'
