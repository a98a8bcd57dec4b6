"""Convert the parameters of a study into those of its phases."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.study.electrolyte_parameters import ElectrolyteParameters

PHASES = (
    'initial_data',
    'active_learning',
    'pretrain',
    'finetune_labels',
    'finetune',
    'distill',
    'conductivity',
    'reference',
)


@calcfunction
def plan_electrolyte(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Return the parameters of every phase by its name, each with its own seed derived from ``seed``.

    :param parameters: content of :class:`ElectrolyteParameters`.
    """
    settings = ElectrolyteParameters.model_validate(parameters.get_dict())
    phases = settings.model_dump(include=set(PHASES))
    return {phase: orm.Dict({**phases[phase], 'seed': derive_seed(settings.seed, phase)}) for phase in PHASES}
