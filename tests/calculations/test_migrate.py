"""A DPA-2 checkpoint as DeePMD-kit 3.0 wrote it: refused by later versions, the same potential once migrated."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from click.testing import CliRunner, Result

from aiida_dpasse.base.jobs import EvaluateBaseWorkChain, FreezeBaseWorkChain
from aiida_dpasse.base.validators import check_checkpoints, check_freezable
from aiida_dpasse.calculations.freeze import validate_inputs as validate_freezing
from aiida_dpasse.calculations.migrate import MigrateCalculation
from aiida_dpasse.cli.potential import potential as commands
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.deepmd.dataset import write_dataset
from aiida_dpasse.deepmd.training_input import complete_input

#: What 3.0 did not write, by FACTS of deepmd-kit 3.2.
SINCE_3_1 = ('type_embd_data', 'compress_info.0', 'compress_data.0')
#: Writes the checkpoint without the tensors whose names end in these, and once more without a bias.
STRIP = """import sys, torch
state = torch.load('model.ckpt.pt', weights_only=True)
for name in [name for name in state['model'] if name.endswith(tuple(sys.argv[1:]))]:
    assert state['model'].pop(name).numel() == 0
torch.save(state, 'old.pt')
state['model'].pop(next(name for name in state['model'] if name.endswith('layers.0.bias')))
torch.save(state, 'broken.pt')
"""


def dp(programs, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run PyTorch's side of DeePMD-kit."""
    return subprocess.run(
        [programs['dp'].path, '--pt', *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def invoke(*arguments: object) -> Result:
    """Run a command of `aiida-dpasse potential`."""
    done = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope='module')
def checkpoints(programs, tmp_path_factory, pair_frames, tiny_input) -> Path:
    """A new checkpoint, `old.pt` as 3.0 wrote it, and `broken.pt` that lacks weights as well."""
    folder = tmp_path_factory.mktemp('dpa2')
    systems = [str(path) for path in write_dataset(pair_frames, folder / 'data')]
    content = complete_input(tiny_input('dpa2', 4), training_systems=systems, seed=1)
    (folder / 'input.json').write_text(json.dumps(content))
    done = dp(programs, folder, 'train', 'input.json')
    assert done.returncode == 0, done.stderr[-2000:]
    command = [programs['python'].path, '-c', STRIP, *SINCE_3_1]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def test_migrated(programs, dp_code, python_code, checkpoints, pair_frames):
    """Later versions cannot freeze the old file; migrated by a command and frozen by the next it is the same."""
    old, new = (DeepPotentialData.from_file(checkpoints / name) for name in ('old.pt', 'model.ckpt.pt'))
    assert (old.needs_migration, new.needs_migration) == (True, False)
    assert 'aiida-dpasse potential migrate' in old.check_usable_with('3.2.0')
    refused = dp(programs, checkpoints, 'freeze', '-c', 'old.pt', '-o', 'old.pth')
    assert refused.returncode != 0
    assert 'type_embd_data' in refused.stderr

    # The command prints the one that comes next; what it made has the old file as its ancestor.
    done = invoke('migrate', old.store().pk, '--code', python_code.full_label)
    migrated = orm.load_node(int(done.stdout.split()[-1]))
    assert f'next: aiida-dpasse potential freeze {migrated.pk}' in done.stderr
    node = migrated.creator
    assert node.inputs.potential.uuid == old.uuid
    assert node.outputs.results['added']
    assert all(name.endswith(SINCE_3_1) for name in node.outputs.results['added'])
    assert migrated.check_usable_with('3.2.0') is None
    assert (migrated.step, migrated.type_map) == (old.step, old.type_map)

    done = invoke('freeze', migrated.pk, '--compress', '--code', dp_code.full_label)
    frozen, compressed = (orm.load_node(int(line.split()[-1])) for line in done.stdout.splitlines())
    assert (frozen.form, compressed.form, frozen.type_map) == ('frozen', 'compressed', migrated.type_map)
    assert frozen.deepmd_version == '3.2.0'
    for potential in (frozen, compressed):
        assert potential.creator.inputs.potential.uuid == migrated.uuid
        assert check_freezable(potential, None) is None

    potentials = {'migrated': migrated, 'new': new.store(), 'frozen': frozen}
    frames = FramesData.from_sets(pair_frames)
    found, _ = run_get_node(
        EvaluateBaseWorkChain, job={'code': python_code, 'potentials': potentials, 'frames': frames}
    )
    arrays = found['predictions'].get_array
    assert np.array_equal(arrays('migrated_energy'), arrays('new_energy'))
    np.testing.assert_allclose(arrays('frozen_energy'), arrays('new_energy'), rtol=1e-9)
    # The order in which PyTorch adds up forces is not the same twice.
    for name in ('force', 'virial'):
        np.testing.assert_allclose(arrays(f'migrated_{name}'), arrays(f'new_{name}'), rtol=1e-9, atol=1e-12)


def test_what_cannot_be_frozen_is_refused(dp_code, checkpoints, tiny_potential):
    """A checkpoint of 3.0, whether the code's version is known or not, and what is frozen already."""
    old = DeepPotentialData.from_file(checkpoints / 'old.pt')
    assert old.check_usable_with(None) is not None
    assert old.check_usable_with('3.0.1') is None
    for potential, sentence in ((old, 'potential migrate'), (tiny_potential, 'it is frozen already')):
        with pytest.raises(ValueError, match=sentence):
            run_get_node(FreezeBaseWorkChain, job={'code': dp_code, 'potential': potential})
    for inputs, sentence in (
        ({'codes': {}}, '`dp`'),
        ({'codes': {'dp': dp_code}}, 'DeePMD-kit 3.0'),
    ):
        found = check_checkpoints({**inputs, 'potential': old}, ['potential'])
        assert found.startswith('potential: ')
        assert sentence in found
    named = {'codes': {}, 'committee': {'a': tiny_potential, 'b': old}, 'potential': None}
    assert check_checkpoints(named, ['potential', 'committee']).startswith('committee.b: ')
    # None is what AiiDA hands validators for what was set to nothing.
    assert validate_freezing({'potential': None, 'code': None}, None) is None


def test_what_cannot_be_migrated_is_reported(python_code, checkpoints):
    """Weights are never made up."""
    broken = DeepPotentialData.from_file(checkpoints / 'broken.pt').store()
    outputs, node = run_get_node(MigrateCalculation, code=python_code, potential=broken)
    assert node.exit_status == MigrateCalculation.exit_codes.ERROR_NOT_MIGRATED.status, node.exit_message
    assert 'model.Default.' in node.exit_message
    assert 'potential' not in outputs


def test_what_needs_no_migration_is_refused(python_code, checkpoints, tiny_potential):
    for potential, sentence in (
        (DeepPotentialData.from_file(checkpoints / 'model.ckpt.pt'), 'potential: '),
        (tiny_potential, 'frozen'),
    ):
        with pytest.raises(ValueError, match=sentence):
            run_get_node(MigrateCalculation, code=python_code, potential=potential)


def test_a_file_is_shown_and_imported(aiida_profile, checkpoints, tmp_path):
    """What it says of itself, with what to do; the same from the node."""
    run = CliRunner().invoke
    shown = run(commands, ['show', str(checkpoints / 'old.pt'), '--json', str(tmp_path / 'told.json')])
    assert shown.exit_code == 0, shown.output
    for text in ('checkpoint of PyTorch, 4 steps', 'dpa2, cutoff 4 Å', 'Li S Cl', '8 x 8', 'potential migrate'):
        assert text in shown.output
    told = json.loads((tmp_path / 'told.json').read_text())
    assert told['needs_migration']
    assert told['training_input']['model']['type_map'] == ['Li', 'S', 'Cl']

    done = run(commands, ['import', str(checkpoints / 'model.ckpt.pt'), '--label', 'ours', '--written-by', '3.2.0'])
    assert done.exit_code == 0, done.output
    node = orm.load_node(int(done.stdout.split()[-1]))
    assert (node.label, node.deepmd_version, node.step) == ('ours', '3.2.0', 4)
    again = run(commands, ['show', str(node.pk)])
    (title, *described), (_, *read) = (text.split('\n\n')[0].splitlines() for text in (again.stdout, done.stdout))
    assert (title, described) == ('ours', read)
    assert 'can read it' in again.output


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['show', 'nowhere.pt'], 'nowhere.pt'),
        (['show', '999999'], '999999'),
        (['show', __file__], '`test_migrate.py`'),
        (['import', __file__], '`test_migrate.py`'),
    ],
)
def test_a_node_of_another_type_is_refused_in_one_sentence(aiida_profile, arguments, sentence):
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 2
    assert sentence in done.output
