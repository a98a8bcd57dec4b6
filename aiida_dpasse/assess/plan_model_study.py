"""Convert the parameters of a model study into those of its trainings, test and molecular dynamics."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.model_study_parameters import ModelStudyParameters, of_calculator
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.epochs import in_epochs
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_model_study(parameters: orm.Dict, **inputs: dict[str, FramesData]) -> dict[str, Any]:
    """Plan the trainings, the test and the molecular dynamics of a model study.

    All models are trained on the same frames. If two data sets contain the same frames with different labels, as in the
    label-quality test of the perspective, the same frames are drawn from both.

    :param parameters: content of :class:`ModelStudyParameters`.
    :param inputs: ``training_data``, the frames to train on, by name.
    :return: ``runs``, the trainings (``train``) and the draws of their frames (``draw``); their parameters by id,
        ``train`` and ``frames``; ``validation``; and, if molecular dynamics is requested, ``conductivity`` by repeat
        (``repeat_<r>``) and ``calculator``, the conductivity parameters for calculators.
    """
    settings = ModelStudyParameters.model_validate(parameters.get_dict())
    data, seed = inputs.get('training_data', {}), settings.seed
    runs = study_runs(settings, {name: frames.frames for name, frames in data.items()})
    frames, trainings = {}, {}
    for run in runs.select(what='draw'):
        draw = derive_seed(seed, 'frames', int(run.size or 0), int(run.replica or 0))
        frames[run.id] = orm.Dict({'number': run.size, 'choice': settings.choice, 'seed': draw})
    for run in runs.select(what='train'):
        model = settings.models[str(run.model)]
        assert model is not None
        content = {**model.model_dump(), 'seed': derive_seed(seed, 'train', run.number), 'freeze': True}
        if settings.epochs is not None:
            node = data[str(run.data)]
            content = in_epochs(content, settings.epochs, int(run.size or 0), node.atoms / node.frames)
        trainings[run.id] = orm.Dict(content)
    plan: dict[str, Any] = {'runs': orm.Dict(runs.to_dict()), 'frames': frames, 'train': trainings}
    validation = settings.validation.model_dump()
    plan['validation'] = orm.Dict({**validation, 'seed': derive_seed(seed, 'validation')})
    if settings.conductivity is not None:
        # Repeats start from different velocities; the potentials that are compared start from the same ones.
        seeds = {f'repeat_{n}': derive_seed(seed, 'conductivity', n) for n in range(settings.repeats)}
        own = settings.conductivity.model_dump()
        plan['conductivity'] = {name: orm.Dict({**own, 'seed': value}) for name, value in seeds.items()}
        plan['calculator'] = orm.Dict({**of_calculator(settings.conductivity), 'seed': seeds['repeat_0']})
    return plan


def study_runs(settings: ModelStudyParameters, available: Mapping[str, int]) -> Runs:
    """Return the trainings and the draws of their frames; a training on all frames of a set needs no draw.

    :param settings: parameters of the model study.
    :param available: number of frames in each data set.
    """
    models = [name for name, training in sorted(settings.models.items()) if training is not None]
    points = [
        (name, size, repeat)
        for name, total in sorted(available.items())
        for size, repeat in product(settings.sizes or [total], range(settings.repeats))
    ]
    draws = [(name, size, repeat) for name, size, repeat in points if size != available[name]] if models else []
    found = [Run('draw', n, data=name, size=size, replica=r) for n, (name, size, r) in enumerate(draws)]
    found += [
        Run('train', n, model=model, data=name, size=size, replica=repeat)
        for n, (model, (name, size, repeat)) in enumerate(product(models, points))
    ]
    return Runs(found)
