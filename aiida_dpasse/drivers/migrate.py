"""Driver: add to an older checkpoint the empty tensors that later versions of DeePMD-kit require.

The installed DeePMD-kit builds the model that the checkpoint describes. Tensors of that model that the checkpoint lacks
are added only if they are empty, so that no parameter of the potential is invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from aiida_dpasse.drivers.job import OUTPUT, read_job, write_result

MIGRATED = 'model.pt'
#: Largest number of names in a message; further ones are counted.
MOST_NAMES = 3


def objection(held: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Return why a checkpoint cannot be migrated, or None.

    :param held: tensors of the checkpoint by name.
    :param asked: tensors of the model built by the installed DeePMD-kit.
    """
    unknown = [name for name in held if name not in asked]
    full = [name for name, tensor in asked.items() if name not in held and tensor.numel()]
    shaped = [name for name in held if name in asked and held[name].shape != asked[name].shape]
    for names, what in (
        (full, 'it lacks parameters'),
        (unknown, 'it contains tensors that the installed version does not have'),
        (shaped, 'tensors have a different shape'),
    ):
        if names:
            rest = f' and {len(names) - MOST_NAMES} more' if len(names) > MOST_NAMES else ''
            return f'{what}: {", ".join(sorted(names)[:MOST_NAMES])}{rest}'
    return None


def build(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of a model built by the installed DeePMD-kit, named as in a checkpoint.

    :param parameters: section `model` of the training input.
    """
    from deepmd.pt.model.model import get_model

    heads = parameters.get('model_dict', {'Default': parameters})
    return {
        f'model.{head}.{name}': tensor
        for head, section in heads.items()
        for name, tensor in get_model(deepcopy(dict(section))).state_dict().items()
    }


def main(arguments: list[str]) -> int:
    """Migrate the checkpoint; write ``output/model.pt``, and ``output.json`` with the names of the added tensors."""
    import deepmd
    import torch

    job = read_job(arguments)
    error, added = None, []
    state = torch.load(job['file'], map_location='cpu', weights_only=True)
    weights = state.get('model', state)
    try:
        asked = build(weights['_extra_state']['model_params'])
    except Exception as exception:  # DeePMD-kit raises exceptions of any type for unknown parameters
        error = f'DeePMD-kit {deepmd.__version__} cannot build the model ({" ".join(str(exception).split())[:300]})'
    else:
        held = {name: tensor for name, tensor in weights.items() if name != '_extra_state'}
        error = objection(held, asked)
        added = sorted(set(asked) - set(held))
    if error is None:
        weights.update({name: asked[name] for name in added})
        Path(OUTPUT).mkdir()
        torch.save(state, f'{OUTPUT}/{MIGRATED}')
    write_result({'error': error, 'added': added, 'deepmd_version': deepmd.__version__})
    return 0
