"""Derive the parameters of the steps of a fine-tuning."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.train.finetune_parameters import FinetuneParameters
from aiida_dpasse.train.plan_pretrain import plan_held_out


@calcfunction
def plan_finetune(parameters: orm.Dict, **inputs: dict[str, FramesData]) -> dict[str, orm.Dict]:
    """Derive the parameters of each step of a fine-tuning, see :func:`plan_held_out`.

    Zero-shot errors are those of the head from which the fine-tuning starts.

    :param parameters: `FinetuneParameters`.
    :param inputs: namespace ``held_out``, the given held-out frames by part.
    :returns: ``split``, ``train`` and ``evaluate``.
    """
    settings = FinetuneParameters.model_validate(parameters.get_dict())
    plan = plan_held_out(settings, inputs.get('held_out', {}))
    if settings.train.finetune is not None and (head := settings.train.finetune.model_branch):
        plan['evaluate'] = {'heads': {'zero_shot': head}}
    return {key: orm.Dict(value) for key, value in plan.items()}
