"""Derive the parameters of the members of a committee."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.explore.committee_parameters import CommitteeParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


def without_seeds(tree: Any) -> Any:
    """Return a training input without its seeds, which would make all members equal.

    :param tree: training input, or a part of it.
    """
    if not isinstance(tree, dict):
        return tree
    return {key: without_seeds(value) for key, value in tree.items() if key != 'seed'}


@calcfunction
def plan_committee(parameters: orm.Dict) -> dict[str, Any]:
    """Derive the training parameters of each member of a committee, which differ in ``seed`` only.

    Seeds within the training input are removed; the training derives them from its ``seed``.

    :param parameters: `CommitteeParameters`.
    :returns: ``runs``, the record of each training by id, and ``train``, the parameters by the same id.
    """
    settings = CommitteeParameters.model_validate(parameters.get_dict())
    train = settings.train.model_dump()
    train['input'] = without_seeds(train['input'])
    runs = Runs(Run('member', number) for number in range(settings.members))
    return {
        'runs': orm.Dict(runs.to_dict()),
        'train': {
            key: orm.Dict({**train, 'seed': derive_seed(settings.seed, 'member', run.number)})
            for key, run in runs.items()
        },
    }
