"""Convert the parameters of a study into those of its phases."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.study.electrolyte_parameters import ElectrolyteParameters

PHASES = (
    'initial_data',
    'active_learning',
    'pretrain',
    'finetune_labels',
    'finetune',
    'distill',
    'conductivity',
    'reference',
)


@calcfunction
def plan_electrolyte(parameters: orm.Dict) -> dict[str, Any]:
    """Plan the phases of a study and its repairs, each step with its own seed derived from ``seed``.

    :param parameters: content of :class:`ElectrolyteParameters`.
    :return: the parameters of every phase by its name; with `check`, ``check``, the parameters of the draw of frames in
        every round by id, and ``check_label``, ``check_evaluate`` and ``check_limits``, those of their labels, of the
        evaluation and of the verdict; with `repair`, ``repairs``, the parameters of the steps of every round
        (``select``, ``label``, ``teach``, ``distill``, ``conductivity``) by the id of the step, and ``repair_runs``,
        the records of these steps and of the first distillation and production, whose round is 0.
    """
    settings = ElectrolyteParameters.model_validate(parameters.get_dict())
    seed, phases = settings.seed, settings.model_dump(include=set(PHASES))
    plan: dict[str, Any] = {phase: orm.Dict({**phases[phase], 'seed': derive_seed(seed, phase)}) for phase in PHASES}
    last = 0 if settings.repair is None else settings.repair.max_rounds
    if settings.check is not None:
        draws = {Run('check', iteration=turn) for turn in range(last + 1)}
        drawn = {'number': settings.check.frames, 'choice': 'random'}
        plan['check'] = {
            run.id: orm.Dict({**drawn, 'seed': derive_seed(seed, run.what, str(run.iteration))}) for run in draws
        }
        plan['check_label'] = orm.Dict(phases['active_learning']['label'])
        plan['check_evaluate'] = orm.Dict({})
        plan['check_limits'] = orm.Dict({'maximum_error': settings.check.maximum_error})
    if settings.repair is None:
        return plan
    steps: dict[str, dict[str, Any]] = {
        'select': settings.repair.model_dump(include={'max_frames', 'minimum_contact'}),
        'teach': phases['finetune'],
        'distill': phases['distill'],
        'conductivity': phases['conductivity'],
    }
    rounds = range(1, 1 + last)
    runs = {Run(what, iteration=turn): content for turn in rounds for what, content in steps.items()}
    repairs = {
        run.id: orm.Dict({**content, 'seed': derive_seed(seed, run.what, str(run.iteration))})
        for run, content in runs.items()
    }
    labels = [Run('label', iteration=turn) for turn in rounds]
    first = [Run(what, iteration=0) for what in ('distill', 'conductivity')]
    return plan | {
        'repairs': repairs | {run.id: orm.Dict(phases['active_learning']['label']) for run in labels},
        'repair_runs': orm.Dict(Runs([*first, *labels, *runs]).to_dict()),
    }
