"""Turn the parameters of a fine-tuning into those of its steps."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.functions.plan_split import split_settings
from aiida_dpasse.functions.plan_training import training_settings
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_finetune(
    parameters: orm.Dict, pretrained: DeepPotentialData, **held_out: FramesData
) -> dict[str, orm.Dict]:
    """Return the parameters ``split``, ``train`` and ``evaluate``.

    A training input without a type map gets that of ``pretrained``. A part of ``held_out`` (``validation_data``,
    ``test_data``) is not split off again.
    """
    settings = parameters.get_dict()
    seed = settings['seed']
    return {
        'split': orm.Dict(split_settings(settings['split'], derive_seed(seed, 'split'), held_out)),
        'train': orm.Dict(training_settings(settings['train'], pretrained.type_map, derive_seed(seed, 'train'))),
        'evaluate': orm.Dict({}),
    }
