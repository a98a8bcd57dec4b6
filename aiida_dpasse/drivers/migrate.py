"""Driver: gives an older checkpoint the empty tensors that later versions of DeePMD-kit ask for.

The installed DeePMD-kit builds the model that the checkpoint describes; what that model has beyond the checkpoint is
added only if it is empty, so that no number of the potential is made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from aiida_dpasse.drivers.job import OUTPUT, read_job, write_result

MIGRATED = 'model.pt'
#: Of more names than these the rest is counted.
MOST_NAMES = 3


def objection(held: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Return why a checkpoint cannot be migrated, or None.

    :param held: its tensors by name.
    :param asked: those of the model as the installed DeePMD-kit builds it.
    """
    unknown = [name for name in held if name not in asked]
    full = [name for name, tensor in asked.items() if name not in held and tensor.numel()]
    shaped = [name for name in held if name in asked and held[name].shape != asked[name].shape]
    for names, what in (
        (full, 'it lacks numbers'),
        (unknown, 'it holds what the installed version does not know'),
        (shaped, 'arrays have another shape'),
    ):
        if names:
            rest = f' and {len(names) - MOST_NAMES} more' if len(names) > MOST_NAMES else ''
            return f'{what}: {", ".join(sorted(names)[:MOST_NAMES])}{rest}'
    return None


def build(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of the model that ``parameters`` (the section `model`) describe, named as in a checkpoint."""
    from deepmd.pt.model.model import get_model

    heads = parameters.get('model_dict', {'Default': parameters})
    return {
        f'model.{head}.{name}': tensor
        for head, section in heads.items()
        for name, tensor in get_model(deepcopy(dict(section))).state_dict().items()
    }


def main(arguments: list[str]) -> int:
    """Migrate the checkpoint; write ``output/model.pt`` and ``output.json`` with what was added."""
    import deepmd
    import torch

    job = read_job(arguments)
    error, added = None, []
    state = torch.load(job['file'], map_location='cpu', weights_only=True)
    weights = state.get('model', state)
    try:
        asked = build(weights['_extra_state']['model_params'])
    except Exception as exception:  # DeePMD-kit raises whatever it likes of parameters that it does not know
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
