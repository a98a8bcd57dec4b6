"""Turn the parameters of a pre-training into those of its steps."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.seeds import derive_seed


def plan_held_out(settings: dict[str, Any], handed_in: set[str]) -> dict[str, dict[str, Any]]:
    """Return the parameters ``split``, ``train`` and ``evaluate``.

    Nothing is split off for a part that was ``handed_in`` (``validation_data``, ``test_data``).
    """
    seed, split = settings['seed'], {'validation': 0, 'test': 0.1, **settings.get('split', {})}
    sizes = {part: 0 if f'{part}_data' in handed_in else split[part] for part in ('validation', 'test')}
    return {
        'split': {**sizes, 'seed': derive_seed(seed, 'split')},
        'train': {**settings['train'], 'seed': derive_seed(seed, 'train')},
        'evaluate': {},
    }


@calcfunction
def plan_pretrain(parameters: orm.Dict, **held_out: FramesData) -> dict[str, orm.Dict]:
    """Return the parameters ``split``, ``train`` and ``evaluate``; see :func:`plan_held_out`."""
    return {key: orm.Dict(value) for key, value in plan_held_out(parameters.get_dict(), set(held_out)).items()}
