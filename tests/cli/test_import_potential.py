"""`import potential` and `potential show --json`: what is stored, what is refused, and what the terminal is given."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import made_up_models
import pytest
from aiida import orm
from click.testing import CliRunner
from deepmd.pretrained.registry import MODEL_REGISTRY

from aiida_dpasse.cli.main import cli

MODEL = made_up_models.MODEL


def invoke(*arguments):
    """Run a command."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def checkpoint(path: Path, **changes) -> Path:
    """Write a checkpoint, as PyTorch lays it out."""
    return made_up_models.checkpoint(path, MODEL | changes)


@pytest.fixture
def files(aiida_profile, tmp_path) -> list[Path]:
    """Two potentials and a model of dipoles."""
    dipole = checkpoint(tmp_path / 'dipole.pt', fitting_net={'type': 'dipole'})
    return [checkpoint(tmp_path / 'one.pt'), checkpoint(tmp_path / 'two.pt', type_map=['Li', 'Cl']), dipole]


def count() -> int:
    """Return the number of potentials of the profile."""
    return orm.QueryBuilder().append(orm.Data, filters={'node_type': {'like': '%DeepPotentialData%'}}).count()


@pytest.mark.parametrize('command', [('import', 'potential'), ('potential', 'import')])
def test_import(files, command):
    """Both names of the command store each file, labelled by its name, in a group."""
    before = count()
    done = invoke(*command, *files[:2], '--group', ' '.join(command), '--written-by', '3.2.0')
    assert done.exit_code == 0, done.output
    nodes = list(orm.load_group(' '.join(command)).nodes)
    assert {(node.label, node.step, node.deepmd_version) for node in nodes} == {
        ('one.pt', 10, '3.2.0'),
        ('two.pt', 10, '3.2.0'),
    }
    assert count() == before + 2
    assert f'stored as {max(node.pk for node in nodes)}' in done.stdout
    assert 'potential freeze' in done.stderr


def test_dry_run_and_refusals(files):
    """A dry run stores nothing; neither does an import of which one file is refused."""
    before = count()
    done = invoke('import', 'potential', *files[:2], '--dry-run', '--group', 'none')
    assert done.exit_code == 0, done.output
    assert done.stdout.count('checkpoint of PyTorch, 10 steps') == 2
    for arguments, word in (
        (files, '`dipole.pt` predicts dipoles'),
        ((*files[:2], '--label', 'both'), '--label'),
        ((files[0], '--written-by', 'newest'), '`newest`'),
        ((files[0], '--name', 'DPA-3.1-3M'), MODEL_REGISTRY['DPA-3.1-3M']['sha256']),
        ((files[0], '--name', 'DPA-9'), 'DPA-2.4-7M'),
    ):
        refused = invoke('import', 'potential', *arguments)
        assert (refused.exit_code, word in refused.stderr) == (2, True), refused.output
    assert count() == before


def test_published(files, monkeypatch):
    """A file of the registry is recognised, with and without its name."""
    sha256 = hashlib.sha256(files[0].read_bytes()).hexdigest()
    monkeypatch.setitem(MODEL_REGISTRY, 'Tiny-1', {'sha256': sha256})
    for given in ((), ('--name', 'tiny-1')):
        done = invoke('import', 'potential', files[0], *given)
        assert done.exit_code == 0, done.output
        assert orm.load_node(int(done.stdout.split()[-1])).published_as == 'Tiny-1'
    assert 'Tiny-1' in invoke('potential', 'show', files[0]).stdout


def test_json(files, tmp_path):
    """On standard output before or after the file, or in a file as before; the same for a stored potential."""
    one, target = files[0], tmp_path / 'told.json'
    shown = [invoke('potential', 'show', one, '--json'), invoke('potential', 'show', '--json', one)]
    assert [done.exit_code for done in shown] == [0, 0], shown[1].output
    written = invoke('potential', 'show', one, '--json', target)
    assert 'checkpoint of PyTorch' in written.stdout
    answer = json.loads(target.read_text())
    assert [json.loads(done.stdout) for done in shown] == [answer, answer]
    assert answer['training_input'] == {'model': MODEL}
    pk = invoke('import', 'potential', one).stdout.split()[-1]
    node = json.loads(invoke('potential', 'show', pk, '--json').stdout)
    assert set(node) == set(answer)
    assert {name for name in answer if node[name] != answer[name]} == set()
    assert invoke('potential', 'show', '--json').exit_code == 2
