"""Change the parameters of a training that failed, so that it can be started again."""

from __future__ import annotations

import copy

from aiida import orm
from aiida.engine import calcfunction

#: A diverged training starts again with this fraction of its learning rate.
LEARNING_RATE_FACTOR = 0.3
#: DeePMD-kit's `auto` aims at 32 atoms a batch.
AUTO_ATOMS = 32


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
    """Return parameters with half the batch: frames if given as a number, atoms if ``auto``."""
    content = copy.deepcopy(parameters.get_dict())
    content['input']['training'].setdefault('training_data', {})['batch_size'] = smaller_batch(content)
    return orm.Dict(content)


def smaller_batch(content: dict[str, object]) -> int | str | None:
    """Return half the batch size of training parameters, None if it cannot be halved.

    Batches by system or of another kind than a number and ``auto:N`` go to ``auto``.
    """
    training = content['input']['training']  # type: ignore[index]
    size = training.get('training_data', {}).get('batch_size', 'auto')
    if isinstance(size, int):
        return size // 2 if size > 1 else None
    if isinstance(size, str) and size.partition(':')[0] == 'auto':
        atoms = int(size.partition(':')[2] or AUTO_ATOMS)
        return f'auto:{atoms // 2}' if atoms > 1 else None
    return 'auto'
