"""Convert the recipe of a distillation into the parameters of its steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.distill.distill_parameters import DistillParameters
from aiida_dpasse.distill.select_compounds import compounds_of
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


def members_of(settings: DistillParameters) -> list[Run]:
    """Return the records of the further students, whose ids label the committee."""
    return [Run('member', number) for number in range(1, settings.students)]


@calcfunction
def plan_distill(parameters: orm.Dict, **inputs: dict[str, orm.StructureData]) -> dict[str, Any]:
    """Plan the steps and runs of a distillation.

    The steps are ``perturb``, ``starts`` (drawn from the perturbed frames of the structures in turn),
    ``perturb_samples``, ``label``, ``split``, ``train``, ``evaluate``, ``compounds`` and, if requested, ``contacts``,
    ``rounds`` and ``acceptance``. The runs differ only in their initial structures and seeds.

    :param parameters: content of :class:`DistillParameters`.
    :param inputs: the ``structures`` by label.
    :return: ``runs``: the teacher's dynamics (``md``), those of the student in each round from the same initial
        structures (``explore``), the rounds (``round``) and the further students (``member``); ``md``, the parameters
        of the teacher's dynamics by id, and ``members``, those of the trainings of the further students; and the
        parameters of each step by its name.
    """
    settings = DistillParameters.model_validate(parameters.get_dict())
    seed, dynamics, structures = settings.seed, settings.dynamics, inputs['structures']
    generator = np.random.default_rng(derive_seed(seed, 'starts'))
    perturbed = len(settings.scales) * settings.perturbations.number
    orders = [(label, generator.permutation(perturbed)) for label in sorted(structures)]
    # In turn: each structure has one run before any has two.
    starts = [{'source': label, 'number': int(order[turn])} for turn in range(perturbed) for label, order in orders]
    steps: dict[str, dict[str, Any]] = {
        'perturb': {
            **settings.model_dump(include={'supercell', 'scales', 'perturbations'}),
            'seed': derive_seed(seed, 'perturb'),
        },
        'starts': {'drawn': starts[: dynamics.starts]},
        'perturb_samples': {
            **settings.sample_perturbations.model_dump(),
            'seed': derive_seed(seed, 'perturb_samples'),
        },
        'label': settings.label.model_dump(),
        'split': {**settings.split.model_dump(), 'seed': derive_seed(seed, 'split')},
        'train': {**settings.train.model_dump(), 'seed': derive_seed(seed, 'train')},
        'evaluate': {},
        'compounds': {'compounds': compounds_of(structures.values())},
    }
    if settings.contacts is not None:
        contacts = settings.model_dump(include={'supercell', 'contacts'})
        steps['contacts'] = {**contacts, 'seed': derive_seed(seed, 'contacts')}
    if settings.rounds is not None:
        steps['rounds'] = settings.rounds.model_dump()
    if settings.acceptance is not None:
        steps['acceptance'] = {**settings.acceptance.model_dump(), 'seed': derive_seed(seed, 'acceptance')}
    run = {**dynamics.md, 'sample_interval': dynamics.md['steps'] // dynamics.frames}
    md = [Run('md', number, temperature=dynamics.md['temperature']) for number in range(dynamics.starts)]
    rounds = range(1, 1 + (settings.rounds.maximum if settings.rounds is not None else 0))
    explored = [item.follow('explore', iteration=turn) for turn in rounds for item in md]
    turns = [Run('round', iteration=turn) for turn in rounds]
    members = members_of(settings)
    return {
        'runs': orm.Dict(Runs([*md, *explored, *turns, *members]).to_dict()),
        'md': {item.id: orm.Dict({**run, 'seed': derive_seed(seed, 'md', item.number)}) for item in md},
        'members': {
            item.id: orm.Dict({**steps['train'], 'seed': derive_seed(seed, 'train', item.number)}) for item in members
        },
        **{key: orm.Dict(value) for key, value in steps.items()},
    }
