"""Repair soft forces: a potential learns cheap labels of CHGNet, then twenty frames of density-functional theory.

In a profile with the codes of `aiida-dpasse setup`, with the public data set LiGePS-SSE-PBE of Huang et al., J. Chem.
Phys. 154, 094703 (2021), half an hour on one core:

    verdi run examples/mend_softening.py LGPS-PBE-Huang2021

The geometries are those of molecular dynamics of 50 atoms. CHGNet labels 300 of them, a small DPA-2 is trained on these
and fine-tuned on 20 and 40 frames with the labels of PBE. A passport of each potential, on 100 other frames, gives
the slope of its forces.
"""

import sys
from pathlib import Path

import numpy as np
from aiida import engine
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.dataset import read_dataset
from aiida_dpasse.deepmd.frameset import concatenate

TEST, TUNING, CHEAP, SIZES = 100, 40, 300, (20, 40)
#: A longer fine-tuning than that of the protocol.
STEPS = 2000
LONGER = {
    'train': {
        'input': {
            'training': {'numb_steps': STEPS, 'save_freq': STEPS // 2},
            'learning_rate': {'decay_steps': STEPS // 100},
        }
    }
}
CODES = {'dp': 'dp@localhost', 'python': 'python@localhost'}


def run(chain, **inputs):
    """Run a chain by its protocol for a laptop, and return its outputs."""
    process = WorkflowFactory(f'dpasse.{chain}')
    codes = {name: CODES[name] for name in process.known_codes(CODES)}
    overrides = inputs.pop('overrides', None)
    builder = process.get_builder_from_protocol(codes, protocol='demo', overrides=overrides, **inputs)
    results, node = engine.run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    return results


def show(name, potential):
    """Print the slopes of a potential on the test frames."""
    passport = run('passport', frames=test, potential=potential, overrides={'max_frames': None})['passport']
    rows = {'all': passport['forces'], **passport['per_element']}
    slopes = '  '.join(f'{key} {row["slope"]:.3f}' for key, row in rows.items())
    low, high, reverse = *rows['Li']['interval'], rows['Li']['reverse_slope']
    rmse = passport['errors']['force_rmse_meV_A']
    lithium = f'Li {low:.3f}-{high:.3f}, reverse {reverse:.3f}'
    say(f'{name:>28}: {slopes}  ({lithium})  RMSE {rmse:.0f} meV/A  {passport["verdict"]}')


folder = Path(sys.argv[1]) / 'data.init'
sets = [item for number in range(4) for item in read_dataset(next(folder.glob(f'*iter.00000{number}-*')))]
[whole] = concatenate(sets)
order = np.random.default_rng(1).permutation(len(whole))
test = FramesData.from_sets([whole.take(order[:TEST])]).store()
tuning = order[TEST : TEST + TUNING]
bare = whole.take(order[TEST + TUNING :][:CHEAP]).with_labels()
cheap = run('label', frames=FramesData.from_sets([bare]).store(), calculator={'name': 'chgnet'})['frames']
pretrained = run('pretrain', frames=cheap)
show('labels of CHGNet', pretrained['frozen'])
for size in SIZES:
    frames = FramesData.from_sets([whole.take(tuning[:size])]).store()
    given = {'frames': frames, 'test_data': test, 'pretrained': pretrained['checkpoint']}
    tuned = run('finetune', **given, overrides=LONGER)
    show(f'fine-tuned on {size} frames', tuned['frozen'])
