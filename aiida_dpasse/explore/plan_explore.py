"""Turn the parameters of an exploration into those of its runs."""

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
    """Return ``runs``, what each run is of, and by its id the parameters of each, ``md``; ``selection`` of the choice
    and ``supercell``.

    Every structure meets every temperature and pressure ``replicas`` times. Where that is more than ``runs``,
    so many are drawn by the seed, in turn from each structure, so that none is left out before another has
    two.

    :param inputs: the ``structures`` by label.
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
