"""Derive the parameters of the members of a committee."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.multitask import type_map_of
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


def committee_on(committee: CommitteeParameters, frames: FramesData) -> dict[str, Any]:
    """Return the parameters of the committees of a loop, whose type map is the same in all iterations.

    :param committee: parameters of a committee.
    :param frames: frames whose elements are the type map, unless the parameters contain one.
    """
    content = committee.model_dump()
    model = content['train']['input']['model']
    if not type_map_of(model):
        model['type_map'] = frames.elements
    return content


def by_iteration(runs: Runs, contents: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, dict[str, orm.Dict]]:
    """Return the parameters of steps that are repeated in every iteration, each with its own seed.

    :param runs: records of the steps.
    :param contents: parameters by the kind of the step.
    :param seed: seed of the loop.
    :returns: parameters by kind and by the id of the record.
    """
    return {
        what: {
            run.id: orm.Dict({**content, 'seed': derive_seed(seed, what, run.iteration or 0)})
            for run in runs.select(what=what)
        }
        for what, content in contents.items()
    }


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
