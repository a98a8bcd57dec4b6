"""Plan the runs and analyses of `ConvergenceWorkChain`."""

from __future__ import annotations

from itertools import product
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.dynamics.convergence_parameters import ConvergenceParameters
from aiida_dpasse.dynamics.plan_conductivity import complete, watched
from aiida_dpasse.lammps.script import total_steps
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_convergence(parameters: orm.Dict) -> dict[str, Any]:
    """Derive the runs and analyses of a convergence study and the parameters of each.

    Every run has the longest length. Shorter lengths are analysed as the beginning of the same run, so that results
    differ by the length only.

    :param parameters: `ConvergenceParameters`.
    :returns: ``runs``, the records of runs and analyses by id, in which ``size`` is the index in `supercells` and
        ``segment`` of an analysis the index in `steps`; ``md`` and ``transport``, the parameters by id; ``supercells``,
        the size of each cell by the id of ``Run('supercell', index)``.
    """
    settings = ConvergenceParameters.model_validate(parameters.get_dict())
    md = watched({**settings.md, 'steps': max(settings.steps)}, settings.transport.ion, None)
    cells = product(range(len(settings.supercells)), range(settings.replicas))
    runs = [Run('md', number, size=size, replica=replica) for number, (size, replica) in enumerate(cells)]
    dynamics = {
        run.id: complete(md, temperature=settings.temperature, seed=derive_seed(settings.seed, 'md', run.number))
        for run in runs
    }
    analyses = [run.follow('transport', segment=place) for run in runs for place in range(len(settings.steps))]
    any_run = dynamics[runs[0].id]
    before, _ = total_steps(any_run)
    # The comparison needs the coefficients only, so the van Hove maps are switched off.
    lengths = [settings.analysis(any_run, before + steps, van_hove_range=None) for steps in settings.steps]
    return {
        'runs': orm.Dict(Runs([*runs, *analyses]).to_dict()),
        'md': {key: orm.Dict(value) for key, value in dynamics.items()},
        'transport': {run.id: orm.Dict(lengths[run.segment or 0]) for run in analyses},
        'supercells': {
            Run('supercell', place).id: orm.Dict({'supercell': supercell})
            for place, supercell in enumerate(settings.supercells)
        },
    }
