"""Derive the parameters of the runs of an exploration."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.explore.explore_parameters import ExploreParameters
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_explore(parameters: orm.Dict, **inputs: dict[str, orm.StructureData]) -> dict[str, Any]:
    """Derive the runs of an exploration and the parameters of each.

    Every structure is run ``replicas`` times at every temperature and pressure. If that exceeds ``runs``, that number
    is drawn by the seed from the structures in turn: each structure has one run before any has two.

    :param parameters: `ExploreParameters`.
    :param inputs: namespace ``structures``, by label.
    :returns: ``runs``, the record of each run by id; ``md``, the parameters of each by the same id; ``selection``, the
        parameters of `select_candidates`; ``supercell``, its size.
    """
    settings = ExploreParameters.model_validate(parameters.get_dict())
    structures, seed = inputs['structures'], settings.seed
    conditions = list(product(settings.temperatures, settings.pressures, range(settings.replicas)))
    queues = []
    for label in sorted(structures):
        order = np.random.default_rng(derive_seed(seed, 'conditions', label)).permutation(len(conditions))
        queues.append([(label, conditions[index]) for index in order])
    turns = [turn for turns in zip(*queues, strict=True) for turn in turns]
    runs = Runs(
        Run('md', number, structure=label, temperature=temperature, pressure=pressure, replica=replica)
        for number, (label, (temperature, pressure, replica)) in enumerate(sorted(turns[: settings.runs]))
    )
    selection = settings.model_dump(include={'trust', 'max_candidates', 'max_per_structure', 'choice'})
    selection['relative_deviation'] = settings.md.get('relative_deviation')
    return {
        'runs': orm.Dict(runs.to_dict()),
        'md': {
            key: orm.Dict(
                {
                    **settings.md,
                    'temperature': run.temperature,
                    'pressure': run.pressure,
                    'seed': derive_seed(seed, 'md', run.number),
                }
            )
            for key, run in runs.items()
        },
        'selection': orm.Dict({**selection, 'seed': derive_seed(seed, 'selection')}),
        'supercell': orm.Dict({'supercell': settings.supercell}),
    }
