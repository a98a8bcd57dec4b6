"""Adjust the parameters of a failed training before it is repeated."""

from __future__ import annotations

import copy
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.deepmd.epochs import batch_atoms
from aiida_dpasse.deepmd.lcurve import LearningCurve
from aiida_dpasse.deepmd.multitask import data_sections

#: Factor on the learning rate of a training that diverged.
LEARNING_RATE_FACTOR = 0.3
#: Shortest time in s between two polls of a learning curve by a monitor.
WATCH_INTERVAL = 60


@calcfunction
def watch_training(parameters: orm.Dict) -> orm.Dict:
    """Return the monitor that stops a diverged training.

    It polls no more often than the learning curve can grow.

    :param parameters: parameters of the training; they link the monitor to the training in the provenance.
    :returns: entry point and ``minimum_poll_interval`` (s) of the monitor.
    """
    return orm.Dict({'entry_point': 'dpasse.diverged', 'minimum_poll_interval': WATCH_INTERVAL})


@calcfunction
def last_good_step(learning_curve: orm.ArrayData, results: orm.Dict) -> orm.Int:
    """Return the largest step whose checkpoint was certainly written before the divergence, or 0.

    If a run diverged from its first row on, the checkpoint from which it started is doubtful as well.

    :param learning_curve: columns of the learning curve.
    :param results: results of the training, with ``restarted_from``.
    """
    columns = {name: learning_curve.get_array(name) for name in learning_curve.get_arraynames()}
    return orm.Int(LearningCurve(columns).last_good_step or max(results['restarted_from'] - 1, 0))


@calcfunction
def lower_learning_rate(parameters: orm.Dict) -> orm.Dict:
    """Lower the initial and, in proportion, the final learning rate of a training.

    :param parameters: parameters of the training.
    :returns: the new parameters.
    """
    content = copy.deepcopy(parameters.get_dict())
    rate = content['input']['learning_rate']
    rate['start_lr'] = rate.get('start_lr', 1e-3) * LEARNING_RATE_FACTOR
    if 'stop_lr' in rate:
        rate['stop_lr'] *= LEARNING_RATE_FACTOR
    return orm.Dict(content)


@calcfunction
def reduce_batch(parameters: orm.Dict) -> orm.Dict:
    """Halve the batch size of every head: frames if it is a number, atoms if it is ``auto``.

    :param parameters: parameters of the training.
    :returns: the new parameters; unchanged if the batch cannot be halved.
    """
    return orm.Dict(smaller_batch(parameters.get_dict()) or parameters.get_dict())


def smaller_batch(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return training parameters with half the batch size, or None if it cannot be halved.

    A batch size by system, or of any kind other than a number and ``auto:N``, becomes ``auto``.

    :param content: parameters of the training.
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
