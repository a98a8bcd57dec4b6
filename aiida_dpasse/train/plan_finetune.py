"""Turn the parameters of a fine-tuning into those of its steps."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.train.finetune_parameters import FinetuneParameters
from aiida_dpasse.train.plan_pretrain import plan_held_out


@calcfunction
def plan_finetune(parameters: orm.Dict, **inputs: dict[str, FramesData]) -> dict[str, orm.Dict]:
    """Return the parameters ``split``, ``train`` and ``evaluate``; see :func:`plan_held_out`.

    The head that the fine-tuning starts from is also the one whose zero-shot errors are taken.

    :param inputs: the frames that were handed in, by part, as ``held_out``.
    """
    settings = FinetuneParameters.model_validate(parameters.get_dict())
    plan = plan_held_out(settings, inputs.get('held_out', {}))
    if settings.train.finetune is not None and (head := settings.train.finetune.model_branch):
        plan['evaluate'] = {'heads': {'zero_shot': head}}
    return {key: orm.Dict(value) for key, value in plan.items()}
