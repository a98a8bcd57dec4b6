"""Derive the parameters of the rounds of a verification."""

from __future__ import annotations

from itertools import product
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.explore.verify_parameters import VerifyParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_verify(parameters: orm.Dict, **inputs: dict[str, orm.StructureData]) -> dict[str, Any]:
    """Derive the steps of every round; each has its own seed.

    :param parameters: `VerifyParameters`.
    :param inputs: namespace ``structures``, by label.
    :returns: ``runs``, the records of the dynamics of all rounds by id; ``md``, the parameters of each by the same id;
        ``draw`` and ``teach``, the parameters of the draw of frames and of the training by the id of the step;
        ``label``, ``evaluate`` and ``limits``, those of the labels, the evaluation and the verdict; ``supercell``.
    """
    settings = VerifyParameters.model_validate(parameters.get_dict())
    seed, structures = settings.seed, sorted(inputs['structures'])
    turns = range(settings.max_rounds + 1)
    runs = Runs(
        Run('md', number, structure=structure, temperature=temperature, iteration=turn)
        for turn in turns
        for number, (structure, temperature) in enumerate(product(structures, settings.temperatures))
    )

    def seeded(content: dict[str, Any], run: Run) -> orm.Dict:
        return orm.Dict({**content, 'seed': derive_seed(seed, run.id)})

    draws, trainings = ([Run(what, iteration=turn) for turn in turns] for what in ('draw', 'teach'))
    finetune = settings.finetune.model_dump()
    return {
        'runs': orm.Dict(runs.to_dict()),
        'md': {key: seeded({**settings.md, 'temperature': run.temperature}, run) for key, run in runs.items()},
        'draw': {run.id: seeded({'number': settings.frames, 'choice': 'random'}, run) for run in draws},
        'teach': {run.id: seeded(finetune, run) for run in trainings},
        'label': orm.Dict(settings.label.model_dump()),
        'evaluate': orm.Dict({}),
        'limits': orm.Dict({'maximum_error': settings.maximum_error}),
        'supercell': orm.Dict({'supercell': settings.supercell}),
    }
