"""The passport of a label source: by EMT exactly, and by universal potentials on the PBE frames of LGPS.

The frames of LGPS, of Huang et al., J. Chem. Phys. 154, 094703 (2021), are read where the folder `shared` stands beside
this repository.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from click.testing import CliRunner

from aiida_dpasse.assess.passport import PassportWorkChain
from aiida_dpasse.cli.passport import passport as command
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.dataset import read_dataset, write_dataset
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report

LGPS = Path(__file__).parents[3] / 'shared' / 'data' / 'LGPS-PBE-Huang2021' / 'data.init' / 'LiGePS-init.system'
EXIT = PassportWorkChain.exit_codes


def passport_of(codes, frames: FramesData, overrides=None, **labeller) -> orm.WorkChainNode:
    """Run the chain."""
    builder = PassportWorkChain.get_builder_from_protocol(
        {'python': codes['python']}, protocol='demo', overrides=overrides or {}, frames=frames, **labeller
    )
    return run_get_node(builder).node


def stiffened(frames: FramesData, factor: float) -> FramesData:
    """The same frames with forces and virials times ``factor``, as if the reference were stiffer than the source."""
    return FramesData.from_sets(
        [
            item.with_labels(item.energies, factor * item.forces, None if item.virials is None else -item.virials)
            for item in frames.sets()
        ]
    ).store()


def test_a_source_that_is_the_reference(codes, copper_frames, tmp_path):
    """Twenty of forty frames are drawn; nothing differs, and the account adds up."""
    node = passport_of(codes, copper_frames, calculator={'name': 'emt'})
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == []
    found = node.outputs.passport.get_dict()
    assert found['source'] == {'kind': 'calculator', 'name': 'emt', 'class': 'emt', 'arguments': {}}
    assert (found['frames'], found['requested'], found['admitted']) == (20, 20, 20)
    assert found['rejected'] == found['failed'] == []
    assert found['verdict'] == 'stiff enough'
    assert found['forces']['slope'] == pytest.approx(1)
    assert found['per_element']['Cu']['interval'] == pytest.approx([1, 1])
    assert found['errors']['force_rmse_meV_A'] == pytest.approx(0, abs=1e-6)
    for part in ('deviatoric', 'isotropic'):
        assert found['virial'][part]['slope'] == pytest.approx(1)
        assert found['virial'][part]['sign'] == 'same'
    assert set(node.outputs.labels.ids()) <= set(copper_frames.ids())
    text = report_text(node)
    assert 'slope of forces 1.00 (1.00-1.00), stiff enough' in text
    assert tmp_path / 'passport.png' in write_report(node, tmp_path)


def test_a_soft_source_with_the_opposite_virial(codes, copper_frames):
    node = passport_of(codes, stiffened(copper_frames, 1.25), calculator={'name': 'emt'})
    found = node.outputs.passport.get_dict()
    assert found['forces']['slope'] == pytest.approx(0.8)
    assert found['verdict'] == 'soft'
    assert found['virial']['deviatoric']['sign'] == 'opposite'
    limit = {'slope_limit': 0.79, 'max_frames': 12, 'seed': 2}
    node = passport_of(codes, stiffened(copper_frames, 1.25), limit, calculator={'name': 'emt'})
    assert node.outputs.passport['verdict'] == 'stiff enough'
    assert node.outputs.passport['frames'] == 12


def test_a_potential_is_known_by_its_file(codes, copper_frames, copper_committee):
    potential = copper_committee.outputs.potentials['member_00']
    node = passport_of(codes, copper_frames, potential=potential)
    found = node.outputs.passport.get_dict()
    assert found['source']['sha256'] == potential.sha256
    assert 0.5 < found['forces']['slope'] < 1.5
    assert found['errors']['force_rmse_meV_A'] > 1


def test_a_source_that_labels_nothing(codes, copper_frames):
    node = passport_of(codes, copper_frames, calculator={'name': 'nowhere:Nothing'})
    assert node.exit_status == EXIT.ERROR_LABEL_FAILED.status
    assert 'nowhere' in node.exit_message


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'max_frames': 5}, '`max_frames`'),
        ({'slope_limit': 0}, '`slope_limit`'),
        ({'label': {'dynamics': {'temperature': 300, 'steps': 2, 'interval': 1}}}, '`label.dynamics`'),
    ],
)
def test_impossible_passports_are_refused(codes, copper_frames, overrides, message):
    with pytest.raises(ValueError, match=message):
        passport_of(codes, copper_frames, overrides, calculator={'name': 'emt'})


def test_frames_without_labels_are_refused(codes, copper_frames):
    bare = FramesData.from_sets([item.with_labels() for item in copper_frames.sets()])
    with pytest.raises(ValueError, match=r'frames: .*label'):
        passport_of(codes, bare, calculator={'name': 'emt'})


def test_the_command(codes, copper_frames, tmp_path):
    """Folders and nodes together; the passport as JSON."""
    halves = [copper_frames.sets()[0].take(part) for part in (np.arange(6), np.arange(6, 12))]
    write_dataset([halves[0]], tmp_path / 'dft')
    node = FramesData.from_sets([halves[1]]).store()
    code = codes['python'].full_label
    arguments = [str(tmp_path / 'dft'), str(node.pk), '--calculator', 'emt', '--code', code, '--slope-limit', '0.9']
    result = CliRunner().invoke(command, [*arguments, '--json', str(tmp_path / 'passport.json')])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / 'passport.json').read_text())
    assert (found['frames'], found['slope_limit'], found['verdict']) == (12, 0.9, 'stiff enough')
    stored = orm.load_node(int(result.output.split()[-1]))
    assert stored.get_dict() == found


@pytest.mark.parametrize(
    'arguments',
    [
        ['nowhere', '--calculator', 'emt'],
        ['FRAMES'],
        ['FRAMES', '--calculator', 'emt', '--potential', '1'],
        ['FRAMES', '--potential', 'FRAMES'],
        ['FRAMES', '--calculator', 'emt', '--arguments', '{'],
        ['FRAMES', '--calculator', 'emt', '--arguments', '[]'],
        ['FRAMES', '--calculator', 'no such', '--code', 'CODE'],
        ['FRAMES', '--calculator', 'emt', '--code', 'none@nowhere'],
        ['FRAMES', '--calculator', 'emt', '--code', 'CODE', '--max-frames', '3'],
        ['CODE_PK', '--calculator', 'emt', '--code', 'CODE'],
    ],
)
def test_the_command_refuses_in_a_sentence(codes, copper_frames, arguments):
    code = codes['python']
    known = {'FRAMES': str(copper_frames.pk), 'CODE': code.full_label, 'CODE_PK': str(code.pk)}
    result = CliRunner().invoke(command, [known.get(name, name) for name in arguments])
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.skipif(not LGPS.is_dir(), reason='the shared data are not beside this repository')
@pytest.mark.parametrize(
    ('name', 'verdict', 'lithium'), [('chgnet', 'soft', (0.4, 0.6)), ('sevennet-l3i5', 'stiff enough', (0.88, 1.0))]
)
def test_universal_potentials_on_lgps(codes, name, verdict, lithium):
    """Twelve perturbed crystals with PBE's forces, which have no virials."""
    [item] = read_dataset(LGPS)
    frames = FramesData.from_sets([item.take(np.arange(0, 590, 50))]).store()
    node = passport_of(codes, frames, calculator={'name': name})
    assert node.is_finished_ok, node.exit_message
    found = node.outputs.passport.get_dict()
    assert (found['frames'], found['verdict'], found['virial']) == (12, verdict, None)
    assert lithium[0] < found['per_element']['Li']['slope'] < lithium[1]
    assert set(found['per_element']) == {'Ge', 'Li', 'P', 'S'}
