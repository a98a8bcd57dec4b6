"""A potential in its own dynamics: its frames are labelled, and it learns them where its forces are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node

from aiida_dpasse.base.protocols import PROTOCOLS
from aiida_dpasse.explore.verify import VerifyWorkChain
from aiida_dpasse.explore.verify_parameters import VerifyParameters
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text

NOT_VERIFIED = VerifyWorkChain.exit_codes.ERROR_NOT_VERIFIED.status


@pytest.fixture(scope='module')
def given(codes, metals, pretrained_metals, tiny_dpa2):
    """Return the inputs of a verification of a potential of two metals; overrides are parameters."""
    parameters = {
        'supercell': [1, 1, 1],
        'temperatures': [300.0],
        'md': {'timestep': 0.5, 'steps': 20, 'sample_interval': 2},
        'frames': 4,
        'maximum_error': 1e-6,
        'max_rounds': 1,
        'label': {'max_force': 50.0},
        'finetune': {'train': {**tiny_dpa2, 'input': {**tiny_dpa2['input'], 'model': {}}, 'finetune': {}}, 'seed': 1},
        'seed': 3,
    }
    outputs = pretrained_metals.outputs

    def make(**overrides: Any) -> dict[str, Any]:
        return {
            'codes': {name: codes[name] for name in VerifyWorkChain.CODES},
            'structures': {name: metals[name] for name in ('copper', 'gold')},
            **{name: outputs[name] for name in ('frozen', 'checkpoint', 'training_data', 'test_data')},
            'calculator': orm.Dict({'name': 'emt'}),
            'parameters': orm.Dict({**parameters, **overrides}),
        }

    return make


def children(node: orm.WorkChainNode) -> dict[str, orm.ProcessNode]:
    """Return the chains that a chain called, by label."""
    return {link.link_label: link.node for link in node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()}


@pytest.fixture(scope='module')
def wrong(given) -> orm.WorkChainNode:
    """A verification in which no error is allowed."""
    _, node = run_get_node(VerifyWorkChain, **given())
    return node


def test_a_wrong_potential_learns_its_own_frames(given, wrong):
    assert wrong.exit_status == NOT_VERIFIED, wrong.exit_message
    rounds = wrong.outputs.rounds['rounds']
    assert [(row['round'], row['frames'], row['accepted']) for row in rounds] == [(0, 4, False), (1, 4, False)]
    assert rounds[0]['after'] is not None
    assert rounds[1]['after'] is None
    known, visited = (set(node.ids()) for node in (given()['training_data'], wrong.outputs.visited))
    assert len(visited) == 8
    learnt = set(wrong.outputs.training_data.ids())
    assert known < learnt < known | visited
    assert len(learnt - known) == 4
    [teach] = [node for label, node in children(wrong).items() if label.startswith('teach')]
    assert wrong.outputs.frozen.uuid == teach.outputs.frozen.uuid
    assert wrong.outputs.checkpoint.uuid == teach.outputs.checkpoint.uuid
    assert orphans(wrong) == []


def test_the_second_round_runs_the_trained_potential(wrong):
    runs = {label: node for label, node in children(wrong).items() if label.startswith('md')}
    assert len(runs) == 2 * 2
    potentials = {node.inputs.md.potentials.potential.uuid for node in runs.values()}
    assert potentials == {wrong.inputs.frozen.uuid, wrong.outputs.frozen.uuid}
    seeds = {node.inputs.md.parameters['seed'] for node in runs.values()}
    assert len(seeds) == 4


def test_its_errors_are_those_of_the_labels(wrong):
    [evaluation] = [node for label, node in children(wrong).items() if label.startswith('evaluate_0000_i000')]
    frames, results = evaluation.inputs.job.frames, evaluation.outputs.results['potential']
    forces = np.concatenate([np.ravel(item.forces) for item in frames.sets()])
    row = wrong.outputs.rounds['rounds'][0]
    assert row['force_rms_meV_A'] == pytest.approx(1000 * np.sqrt(np.mean(forces**2)))
    assert row['force_rmse_meV_A'] == results['force_rmse_meV_A']
    assert row['relative_error'] == pytest.approx(row['force_rmse_meV_A'] / row['force_rms_meV_A'])
    assert 'Verification' in report_text(wrong)


def test_a_potential_that_is_right_enough_is_not_trained(given):
    """Without a checkpoint it can be compared, too."""
    inputs = given(maximum_error=100.0, max_rounds=0)
    for name in ('checkpoint', 'training_data', 'test_data'):
        del inputs[name]
    outputs, node = run_get_node(VerifyWorkChain, **inputs)
    assert node.is_finished_ok, node.exit_message
    assert outputs['rounds']['accepted'] is True
    assert outputs['frozen'].uuid == inputs['frozen'].uuid
    assert 'training_data' not in outputs


@pytest.mark.parametrize('name', ['checkpoint', 'training_data', 'test_data'])
def test_what_a_training_needs(given, name):
    inputs = given()
    del inputs[name]
    with pytest.raises(ValueError, match=f'{name}: '):
        run_get_node(VerifyWorkChain, **inputs)


@pytest.mark.parametrize(
    'changes', [{'frames': 0}, {'maximum_error': 0.0}, {'md': {'steps': 20}}, {'temperatures': []}, {'max_rounds': -1}]
)
def test_impossible_parameters(given, changes):
    with pytest.raises(ValueError, match='parameters'):
        run_get_node(VerifyWorkChain, **given(**changes))


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_protocols(protocol):
    VerifyParameters.model_validate(VerifyWorkChain.protocol_parameters(protocol))
