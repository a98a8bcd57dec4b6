"""Turn the parameters of a model study into those of its trainings, its test and its dynamics."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.epochs import in_epochs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_model_study(parameters: orm.Dict, **data: FramesData) -> dict[str, orm.Data]:
    """Return ``points``, what every training is of; ``train_<point>`` and, unless it takes all frames, ``frames_<data>_
    <n>_<r>`` of each; ``validation``; and ``conductivity``, if dynamics are asked for, by name ``conductivity_<r>``.

    A point is ``<model>_<data>_<n>_<r>``. All models see the same frames, and of two sets with the same frames and
    other labels (the perspective's label-quality test) the same are drawn.

    :param data: frames to train on, by name.
    """
    settings = parameters.get_dict()
    seed = settings['seed']
    plan: dict[str, Any] = {'validation': {**settings['validation'], 'seed': derive_seed(seed, 'validation')}}
    points: dict[str, Any] = {}
    models = {name: train for name, train in sorted(settings['models'].items()) if train is not None}
    for name, frames in sorted(data.items()):
        for size in settings.get('sizes') or [frames.frames]:
            for repeat in range(settings['repeats']):
                draw = f'{size:05d}_{repeat:02d}'
                if size != frames.frames:
                    drawn = {
                        'number': size,
                        'choice': settings.get('choice', 'random'),
                        'seed': derive_seed(seed, 'frames', draw),
                    }
                    plan[f'frames_{name}_{draw}'] = drawn
                for model, train in models.items():
                    point = f'{model}_{name}_{draw}'
                    points[point] = {'model': model, 'data': name, 'frames': size, 'repeat': repeat}
                    content = {**deepcopy(train), 'seed': derive_seed(seed, 'train', point), 'freeze': True}
                    epochs = settings.get('epochs')
                    natoms = frames.atoms / frames.frames
                    plan[f'train_{point}'] = content if epochs is None else in_epochs(content, epochs, size, natoms)
    if settings.get('conductivity') is not None:
        # Repeats start from other velocities; what is compared starts from the same.
        for repeat in range(settings['repeats']):
            own = {**settings['conductivity'], 'seed': derive_seed(seed, 'conductivity', repeat)}
            plan[f'conductivity_{repeat:02d}'] = own
        plan['conductivity_calculator'] = {**plan['conductivity_00'], 'precision': None}
    return {'points': orm.Dict(points)} | {key: orm.Dict(value) for key, value in plan.items()}
