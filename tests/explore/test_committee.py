"""The committee: members that differ, and what is refused."""

from __future__ import annotations

import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, InstalledCode

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.committee import CommitteeWorkChain
from aiida_dpasse.merging import merge


def inputs(codes, frames, training, **changes):
    parameters = {'members': 2, 'minimum_members': 2, 'train': training, 'seed': 1} | changes
    return {'codes': {'dp': codes['dp']}, 'training_data': frames, 'parameters': Dict(parameters)}


def test_members_differ(copper_committee):
    potentials = copper_committee.outputs.potentials
    assert sorted(potentials) == ['member_00', 'member_01']
    assert potentials['member_00'].sha256 != potentials['member_01'].sha256
    assert potentials['member_00'].type_map == ['Cu']
    assert sorted(copper_committee.outputs.learning_curves) == ['member_00', 'member_01']
    assert [link.link_label for link in copper_committee.base.links.get_outgoing().all()].count('plan') == 1


def test_too_few_members(localhost, copper_frames, tiny_training):
    broken = {'dp': InstalledCode(computer=localhost, filepath_executable='/bin/false', label='broken').store()}
    _, node = run_get_node(CommitteeWorkChain, **inputs(broken, copper_frames, tiny_training))
    assert node.exit_status == CommitteeWorkChain.exit_codes.ERROR_TOO_FEW_MEMBERS.status
    [first, _] = [child for child in node.called if child.process_label == 'TrainBaseWorkChain']
    assert f'TrainBaseWorkChain<{first.pk}> says: {first.exit_message}' in node.exit_message


def test_a_wrong_training_is_refused(codes, copper_frames, tiny_training):
    broken = tiny_training | {'backend': 'abacus'}
    with pytest.raises(ValueError, match='parameters: '):
        run_get_node(CommitteeWorkChain, **inputs(codes, copper_frames, broken))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'members': 1}, '`members`'),
        ({'minimum_members': 3}, '`minimum_members`'),
        ({'train': {'freeze': False}}, '`train.freeze`'),
        ({'train': {'input': {'model': {'type_map': ['U']}}}}, 'training_data: '),
        ({'train': {'backend': 'pytorch', 'processes': 2}}, r'codes\.torchrun: `parameters\.train\.processes`'),
    ],
)
def test_impossible_committees_are_refused(codes, copper_frames, tiny_training, changes, message):
    changes = merge({'train': tiny_training}, changes)
    with pytest.raises(ValueError, match=message):
        run_get_node(CommitteeWorkChain, **inputs(codes, copper_frames, changes.pop('train'), **changes))


def test_frames_without_labels_are_refused(codes, copper, tiny_training):
    bare = FramesData.from_structures([copper])
    with pytest.raises(ValueError, match='training_data: '):
        run_get_node(CommitteeWorkChain, **inputs(codes, bare, tiny_training))


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_protocols_are_complete(codes, copper_frames, name):
    builder = CommitteeWorkChain.get_builder_from_protocol(codes, protocol=name, training_data=copper_frames)
    parameters = builder.parameters.get_dict()
    assert parameters['members'] == {'dpa-sse': 4, 'balanced': 4, 'fast': 3, 'demo': 3}[name]
