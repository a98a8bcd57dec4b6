"""Derive the parameters of the trainings of a fine-tuning study."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import change_bias_arguments
from aiida_dpasse.deepmd.epochs import in_epochs
from aiida_dpasse.parameters.sizes import part_size
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.train.learning_curve_parameters import LearningCurveParameters

#: File that `dp change-bias` writes.
ALIGNED = 'aligned.pt'
#: Record of the unchanged pre-trained potential in the test.
ZERO_SHOT = Run('zero_shot')


@calcfunction
def plan_learning_curve(parameters: orm.Dict, frames: FramesData, **held_out: FramesData) -> dict[str, Any]:
    """Derive the trainings of a fine-tuning study and the parameters of each.

    With ``epochs``, every training sees each of its frames that number of times, and its learning rate decays in as
    many intervals as the parameters specify (DPA-SSE, section 3.3: "normalizing the training epochs by the number of
    data frames").

    :param parameters: `LearningCurveParameters`.
    :param frames: labelled frames.
    :param held_out: ``test_data``, if given; then no test frames are split off.
    :returns: ``runs``, the record of each run by id; ``frames``, the parameters of each ``draw``, and ``train``, those
        of each ``tuned`` and ``scratch``, by the same id; ``split`` and ``evaluate``; with ``align``,
        ``align_arguments``, ``align_outputs`` and ``align_filenames`` of the `dp change-bias` job.
    """
    settings = LearningCurveParameters.model_validate(parameters.get_dict())
    seed, total = settings.seed, frames.frames
    test = 0 if 'test_data' in held_out else settings.test
    everything = total - part_size(test, total) - part_size(settings.validation, total)
    head = settings.tune.finetune.model_branch if settings.tune.finetune is not None else None
    sizes = list(dict.fromkeys([*settings.sizes, everything]))
    points = [(size, repeat) for size in sizes for repeat in range(settings.repeats)]
    tuned = [(size, repeat) for size, repeat in points if size in settings.sizes]
    drawn = [(size, repeat) for size, repeat in points if size != everything]
    listed = {'draw': drawn, 'tuned': tuned, 'scratch': points if settings.from_scratch else []}
    listed |= {'aligned': tuned if settings.align else []}
    runs = Runs(
        Run(what, number, size=size, replica=repeat)
        for what, kind in listed.items()
        for number, (size, repeat) in enumerate(kind)
    )
    trainings, draws = {}, {}
    for run in runs.values():
        size, place = int(run.size or 0), (int(run.size or 0), int(run.replica or 0))
        if run.what == 'draw':
            own = {'number': size, 'choice': settings.choice, 'seed': derive_seed(seed, 'frames', *place)}
            draws[run.id] = orm.Dict(own)
        elif run.what in ('tuned', 'scratch'):
            train = (settings.tune if run.what == 'tuned' else settings.scratch).model_dump()
            train['seed'] = derive_seed(seed, run.what, *place)
            # The test reads checkpoints, so only the potentials tuned on the most frames are frozen.
            train |= {'freeze': run.what == 'tuned' and size == max(settings.sizes), 'compress': False}
            if settings.epochs is not None:
                train = in_epochs(train, settings.epochs, size, frames.atoms / total)
            trainings[run.id] = orm.Dict(train)
    plan: dict[str, Any] = {
        'runs': orm.Dict(runs.to_dict()),
        'split': orm.Dict({'test': test, 'validation': settings.validation, 'seed': derive_seed(seed, 'split')}),
        'evaluate': orm.Dict({'heads': {ZERO_SHOT.id: head}} if head else {}),
        'frames': draws,
        'train': trainings,
    }
    if settings.align:
        arguments = change_bias_arguments('{pretrained}', 'data', ALIGNED, branch=head or None)
        plan['align_arguments'] = orm.List(arguments)
        plan['align_outputs'] = orm.List([ALIGNED])
        plan['align_filenames'] = orm.Dict({'frames': 'data', 'pretrained': 'pretrained.pt'})
    return plan
