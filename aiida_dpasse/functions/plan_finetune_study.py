"""Turn the parameters of a fine-tuning study into those of its trainings."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.epochs import in_epochs
from aiida_dpasse.functions.split_frames import part_size
from aiida_dpasse.seeds import derive_seed

#: File that `dp change-bias` writes.
ALIGNED = 'aligned.pt'


@calcfunction
def plan_finetune_study(parameters: orm.Dict, frames: FramesData, **held_out: FramesData) -> dict[str, orm.Data]:
    """Return ``split``, ``evaluate``, ``frames_<n>_<r>``, ``tuned_<n>_<r>``, ``scratch_<n>_<r>`` and, for ``n`` of all
    frames, ``scratch_<all>_<r>``; with ``align``, what `dp change-bias` is called with as ``align_*``.

    With ``epochs``, each training sees each of its frames so many times, and its learning rate decays in as many
    intervals as the parameters say (DPA-SSE, section 3.3: "normalizing the training epochs by the number of data
    frames").
    """
    settings = parameters.get_dict()
    seed, repeats, epochs = settings['seed'], settings['repeats'], settings['epochs']
    total = frames.frames
    natoms = frames.atoms / total
    test = 0 if 'test_data' in held_out else settings['test']
    everything = total - part_size(test, total) - part_size(settings.get('validation', 0), total)
    head = settings['tune'].get('finetune', {}).get('model_branch')
    plan: dict[str, Any] = {
        'split': {'test': test, 'validation': settings.get('validation', 0), 'seed': derive_seed(seed, 'split')},
        'evaluate': {'heads': {'zero_shot': head}} if head else {},
    }
    kinds = ['tuned', 'scratch'] if settings['from_scratch'] else ['tuned']
    for size in [*settings['sizes'], everything]:
        for repeat in range(repeats):
            point = f'{size:05d}_{repeat:02d}'
            if size != everything:
                drawn = {'number': size, 'choice': settings['choice'], 'seed': derive_seed(seed, 'frames', point)}
                plan[f'frames_{point}'] = drawn
            for kind in kinds:
                if kind == 'tuned' and size not in settings['sizes']:
                    continue
                train = deepcopy(settings['tune' if kind == 'tuned' else 'scratch'])
                train['seed'] = derive_seed(seed, kind, point)
                # The test reads checkpoints; only the best are for use.
                train |= {'freeze': kind == 'tuned' and size == max(settings['sizes']), 'compress': False}
                plan[f'{kind}_{point}'] = train if epochs is None else in_epochs(train, epochs, size, natoms)
    dicts: dict[str, orm.Data] = {key: orm.Dict(value) for key, value in plan.items()}
    if settings['align']:
        branch = ['--model-branch', head] if head else []
        arguments = ['--pt', 'change-bias', '{pretrained}', '-s', 'data', '-o', ALIGNED, *branch]
        dicts['align_arguments'] = orm.List(arguments)
        dicts['align_outputs'] = orm.List([ALIGNED])
        dicts['align_filenames'] = orm.Dict({'frames': 'data', 'pretrained': 'pretrained.pt'})
    return dicts
