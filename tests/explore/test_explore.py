"""The exploration: every frame is counted, the selection is reproducible, failures are distinguished."""

from __future__ import annotations

import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, InstalledCode, StructureData

from aiida_dpasse.deepmd.frameset import concatenate
from aiida_dpasse.explore.explore import ExploreWorkChain

EXIT = ExploreWorkChain.exit_codes
MD = {'ensemble': 'npt', 'timestep': 1.0, 'steps': 20, 'sample_interval': 2, 'thermo_interval': 10}
TRUST = {'mode': 'adaptive', 'low': 0.001, 'high': 0.01, 'quantile': 0.3, 'explosion': 50.0}
PARAMETERS = {
    'supercell': [1, 1, 1],
    'temperatures': [300, 900],
    'pressures': [0.0],
    'replicas': 1,
    'runs': None,
    'md': MD,
    'trust': TRUST,
    'max_candidates': 5,
    'max_per_structure': None,
    'seed': 1,
}


@pytest.fixture
def inputs(codes, copper, copper_committee):
    """Inputs of an exploration; keywords change its parameters."""

    def make(**changes):
        return {
            'codes': {'lmp': codes['lmp']},
            'structures': {'copper': copper},
            'potentials': dict(copper_committee.outputs.potentials),
            'parameters': Dict(PARAMETERS | changes),
        }

    return make


def test_every_frame_is_counted_and_candidates_are_replayable(inputs):
    first, node = run_get_node(ExploreWorkChain, **inputs())
    assert node.is_finished_ok, node.exit_message
    statistics = first['statistics'].get_dict()
    assert statistics['sampled'] == sum(statistics[name] for name in ('accurate', 'candidate', 'failed'))
    assert statistics['sampled'] in (20, 22)
    assert statistics['chosen'] == first['candidates'].frames == 5
    assert statistics['runs_without_frames'] == []
    [chosen] = concatenate(first['candidates'].sets())
    assert set(chosen.sources) <= {'samples__md_0000', 'samples__md_0001'}
    assert ((chosen.deviations >= statistics['trust_low']) & (chosen.deviations < statistics['trust_high'])).all()

    known = {'before': first['candidates']}
    second, _ = run_get_node(ExploreWorkChain, **inputs(), known=known)
    third, _ = run_get_node(ExploreWorkChain, **inputs())
    assert third['candidates'].ids() == first['candidates'].ids()
    assert second['statistics']['known'] == 5
    assert not set(second['candidates'].ids()) & set(first['candidates'].ids())


def test_candidates_come_from_the_runs_that_they_name(inputs):
    _, node = run_get_node(ExploreWorkChain, **inputs(runs=1))
    [chosen] = node.outputs.candidates.sets()
    select = node.outputs.candidates.creator
    links = {link.link_label: link.node for link in select.base.links.get_incoming().all()}
    assert set(chosen.ids) <= set(links['samples__md_0000'].ids())
    assert links['samples__md_0000'].creator.process_type == 'aiida.calculations:dpasse.md'


def test_no_candidates_is_an_answer(inputs):
    trust = {'mode': 'fixed', 'low': 40.0, 'high': 45.0, 'quantile': 0.3, 'explosion': 50.0}
    outputs, node = run_get_node(ExploreWorkChain, **inputs(runs=1, trust=trust))
    assert node.is_finished_ok
    assert 'candidates' not in outputs
    assert outputs['statistics']['accurate'] == outputs['statistics']['sampled']


def test_only_failures_has_its_own_exit_code(inputs):
    trust = {'mode': 'fixed', 'low': 1e-12, 'high': 2e-12, 'quantile': 0.3, 'explosion': 50.0}
    outputs, node = run_get_node(ExploreWorkChain, **inputs(runs=1, trust=trust, temperatures=[900]))
    assert outputs['statistics']['failed'] == 10
    assert node.exit_status == EXIT.ERROR_ONLY_FAILURES.status


def test_all_runs_failed(inputs, localhost):
    broken = InstalledCode(computer=localhost, filepath_executable='/bin/false', label='broken').store()
    outputs, node = run_get_node(ExploreWorkChain, **inputs(runs=1) | {'codes': {'lmp': broken}})
    assert node.exit_status == EXIT.ERROR_NO_RUN_FINISHED.status
    assert outputs['statistics']['runs_without_frames'] == ['md_0000']
    [run] = [child for child in node.called if child.process_label == 'MDBaseWorkChain']
    assert f'MDBaseWorkChain<{run.pk}> says: {run.exit_message}' in node.exit_message


def test_any_label_may_name_a_structure_and_a_member(inputs, copper):
    given = inputs(temperatures=[300], replicas='1', runs=None)
    given['structures'] = dict.fromkeys(('metadata', 'parameters', 'a', 'a_300K'), copper)
    given['potentials'] = dict(zip(('metadata', 'parameters'), given['potentials'].values(), strict=True))
    outputs, node = run_get_node(ExploreWorkChain, **given)
    assert node.is_finished_ok, node.exit_message
    runs = outputs['statistics']['runs']
    assert [run['structure'] for run in runs.values()] == ['a', 'a_300K', 'metadata', 'parameters']
    assert outputs['statistics']['runs_without_frames'] == []


def test_checkpoints_are_frozen_first(inputs, codes, pretrained_metals):
    outputs = pretrained_metals.outputs
    given = inputs(runs=1) | {'potentials': {'first': outputs.checkpoint, 'second': outputs.frozen}}
    with pytest.raises(ValueError, match='`dp`'):
        run_get_node(ExploreWorkChain, **given)
    given['codes']['dp'] = codes['dp']
    results, node = run_get_node(ExploreWorkChain, **given)
    assert node.is_finished_ok, node.exit_message
    # Both are the same potential, so that they agree.
    assert results['statistics']['accurate'] == results['statistics']['sampled'] > 0
    assert results['statistics']['deviation_median'] == pytest.approx(0, abs=1e-5)
    [run] = [child for child in node.called if child.process_label == 'MDBaseWorkChain']
    assert run.inputs.md.potentials.first.form == 'frozen'
    assert run.inputs.md.potentials.second.uuid == outputs.frozen.uuid


def test_a_cell_that_cannot_be_repeated(inputs):
    _, node = run_get_node(ExploreWorkChain, **inputs(supercell=[60, 60, 60]))
    assert node.exit_status == EXIT.ERROR_STRUCTURES.status


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'temperatures': [0]}, '`temperatures.0`'),
        ({'pressures': [-1.0]}, '`pressures.0`'),
        ({'md': MD | {'temperature': 300}}, '`md.temperature`'),
        ({'md': {key: MD[key] for key in ('ensemble', 'steps')}}, '`md.sample_interval`'),
        ({'trust': TRUST | {'high': 0.0005}}, '`low` \\(0.001\\) .*`high`'),
        (
            {'md': MD | {'relative_deviation': 1.0}, 'trust': TRUST | {'mode': 'calibrated'}},
            '`md.relative_deviation` .*`trust.mode`',
        ),
        ({'max_candidates': 0}, '`max_candidates`'),
    ],
)
def test_impossible_explorations_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(ExploreWorkChain, **inputs(**changes))


def test_a_committee_of_one_is_refused(inputs):
    given = inputs()
    given['potentials'].popitem()
    with pytest.raises(ValueError, match=r'potentials: .*1'):
        run_get_node(ExploreWorkChain, **given)


def test_an_element_outside_the_type_map_is_refused(inputs):
    lithium = StructureData(cell=[[3, 0, 0], [0, 3, 0], [0, 0, 3]])
    lithium.append_atom(position=(0, 0, 0), symbols='Li')
    with pytest.raises(ValueError, match=r'potentials\.member_00: .*Li.*`lithium`'):
        run_get_node(ExploreWorkChain, **inputs() | {'structures': {'lithium': lithium}})


def test_partial_occupancies_are_refused(inputs):
    alloy = StructureData(cell=[[4, 0, 0], [0, 4, 0], [0, 0, 4]])
    alloy.append_atom(position=(0, 0, 0), symbols=('Cu', 'Al'), weights=(0.5, 0.5))
    with pytest.raises(ValueError, match=r'structures\.alloy: .*partial occupancies'):
        run_get_node(ExploreWorkChain, **inputs() | {'structures': {'alloy': alloy}})


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_protocols_are_complete(name):
    parameters = ExploreWorkChain.protocol_parameters(name)
    if name == 'dpa-sse':
        assert parameters['md']['ensemble'] == 'npt'
        assert (min(parameters['temperatures']), max(parameters['temperatures'])) == (1, 1200)
        assert (min(parameters['pressures']), max(parameters['pressures'])) == (0, 2)
