"""Derive the parameters of the steps of a pre-training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.train.held_out_parameters import HeldOutParameters
from aiida_dpasse.train.pretrain_parameters import PretrainParameters


def plan_held_out(settings: HeldOutParameters, handed_in: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the parameters ``split``, ``train`` and ``evaluate`` of a training with held-out frames.

    :param settings: parameters of the chain.
    :param handed_in: parts (``validation``, ``test``) that are given and not split off.
    """
    split = settings.split.model_dump() | dict.fromkeys(handed_in, 0)
    return {
        'split': {**split, 'seed': derive_seed(settings.seed, 'split')},
        'train': {**settings.train.model_dump(), 'seed': derive_seed(settings.seed, 'train')},
        'evaluate': {},
    }


@calcfunction
def plan_pretrain(parameters: orm.Dict, **inputs: dict[str, FramesData]) -> dict[str, orm.Dict]:
    """Derive the parameters of each step of a pre-training, see :func:`plan_held_out`.

    :param parameters: `PretrainParameters`.
    :param inputs: namespace ``held_out``, the given held-out frames by part.
    :returns: ``split``, ``train`` and ``evaluate``.
    """
    settings = PretrainParameters.model_validate(parameters.get_dict())
    return {key: orm.Dict(value) for key, value in plan_held_out(settings, inputs.get('held_out', {})).items()}
