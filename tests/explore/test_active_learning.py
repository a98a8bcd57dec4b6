"""The loop with real programs on copper: it grows, counts, and converges for the right reasons."""

from __future__ import annotations

import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import Dict, InstalledCode, StructureData
from ase import Atoms
from ase.calculators.emt import EMT
from vasp_family import FAMILY, runs, upload_family, vasp_code

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.reports.accounting import unaccounted
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text

EXIT = ActiveLearningWorkChain.exit_codes
EXPLORE = {
    'supercell': [1, 1, 1],
    'temperatures': [600],
    'pressures': [0.0],
    'replicas': 2,
    'runs': None,
    'md': {'ensemble': 'nvt', 'timestep': 1.0, 'steps': 20, 'sample_interval': 2, 'thermo_interval': 10},
    'trust': {'mode': 'adaptive', 'low': 0.001, 'high': 0.01, 'quantile': 0.3, 'explosion': 50.0},
    'max_candidates': 4,
    'max_per_structure': None,
    'seed': 1,
}
AGREEING = {'mode': 'fixed', 'low': 40.0, 'high': 45.0, 'quantile': 0.3, 'explosion': 50.0}
CONVERGENCE = {'accurate_fraction': 0.9, 'maximum_force_rmse': 100.0, 'maximum_force_change': None}

WATCHED = {
    'supercell': [1, 1, 1],
    'temperatures': [300],
    'replicas': 1,
    'md': {'ensemble': 'nvt', 'timestep': 1.0, 'steps': 40, 'trajectory_interval': 2, 'thermo_interval': 10},
    'seed': 1,
}


@pytest.fixture(autouse=True)
def equal_explorations_run_once(equal_trainings_run_once):
    """What the first committee explores is the same wherever the trust levels alone differ."""
    with enable_caching(identifier='aiida.calculations:dpasse.md'):
        yield


@pytest.fixture
def inputs(codes, copper, copper_frames, tiny_training):
    """Inputs of a loop; keywords change its parameters."""

    def make(trust=EXPLORE['trust'], **changes):
        parameters = {
            'max_active_iterations': 2,
            'final_committee': False,
            'validation': 0.25,
            'convergence': CONVERGENCE,
            'committee': {'members': 2, 'minimum_members': 2, 'train': tiny_training, 'seed': 1},
            'explore': EXPLORE | {'trust': trust},
            'label': {'batch_size': 10, 'max_force': 50.0, 'minimum_distance': 0.5, 'minimum_success': 0.5},
            'seed': 1,
        }
        return {
            'codes': {name: codes[name] for name in ('dp', 'lmp', 'python')},
            'frames': copper_frames,
            'structures': {'copper': copper},
            'calculator': Dict({'name': 'emt'}),
            'parameters': Dict(parameters | changes),
        }

    return make


def test_the_loop_grows_and_its_levels_are_calibrated_by_what_was_labelled(inputs, copper_frames):
    trust = {'mode': 'calibrated', 'low': 0.001, 'high': 45.0, 'quantile': 0.3, 'explosion': 50.0}
    explore = EXPLORE | {'trust': trust, 'max_candidates': 12, 'choice': 'diverse'}
    outputs, node = run_get_node(ActiveLearningWorkChain, **inputs(explore=explore))
    assert node.exit_status == EXIT.ERROR_NOT_CONVERGED.status, node.exit_message
    assert outputs['iterations']['verdict'] in node.exit_message

    table = outputs['iterations'].get_dict()
    first, second = table['iterations']
    account = outputs['account'].get_dict()
    assert not table['converged']
    assert first['frames'] == 30
    assert second['frames'] == 30 + first['labelled']
    for row in (first, second):
        assert row['sampled'] == row['accurate'] + row['candidate'] + row['failed']
        assert row['chosen'] == row['labelled'] + row['rejected'] + row['label_failed'] == 12
        assert row['force_rmse_meV_A'] > 0
    assert account['requested'] == 24 == account['admitted'] + len(account['rejected']) + len(account['failed'])

    frames = outputs['frames']
    assert frames.labelled
    assert frames.frames == 40 + account['admitted']
    assert len(set(frames.ids())) == frames.frames
    assert set(copper_frames.ids()) < set(frames.ids())
    assert sorted(outputs['potentials']) == ['member_00', 'member_01']
    labels = {child.base.attributes.get('process_label'): child for child in node.called}
    assert labels['CommitteeWorkChain'].inputs.validation_data.frames == 10

    first, second = (child.outputs.statistics for child in node.called if child.process_label == 'ExploreWorkChain')
    assert first['error_per_deviation'] is None
    assert (first['trust_low'], first['trust_high']) == (0.001, 45.0)
    ratio = second['error_per_deviation']
    assert ratio > 0
    assert (second['trust_low'], second['trust_high']) == pytest.approx((0.001 / ratio, min(45.0 / ratio, 50.0)))
    assert orphans(node) == []


def test_agreement_alone_does_not_converge(inputs):
    stable = {'accurate_fraction': 0.9, 'maximum_force_rmse': None, 'maximum_force_change': 10.0}
    outputs, node = run_get_node(ActiveLearningWorkChain, **inputs(trust=AGREEING))
    assert node.is_finished_ok, node.exit_message
    assert outputs['iterations']['converged']
    assert len(outputs['iterations']['iterations']) == 1
    assert outputs['frames'].frames == 40
    assert outputs['account'].get_dict() == {'requested': 0, 'admitted': 0, 'rejected': [], 'failed': []}

    # The ions have to diffuse as with the committee before, and in solid copper none does.
    settled = {
        'convergence': CONVERGENCE | {'maximum_diffusivity_change': 0.2},
        'conductivity': WATCHED | {'transport': {'ion': 'Cu'}, 'extrapolate_to': None},
    }
    outputs, node = run_get_node(ActiveLearningWorkChain, **inputs(trust=AGREEING, max_active_iterations=5, **settled))
    assert node.exit_status == EXIT.ERROR_NO_CANDIDATES.status
    for row in outputs['iterations']['iterations']:
        [found] = row['transport']
        assert found['iteration'] == row['iteration']
        assert (found['structure'], found['temperature_K'], found['diffusive']) == ('copper', 300, False)
    assert orphans(node) == []
    assert len(outputs['iterations']['iterations']) == 2
    assert sorted(outputs['potentials']) == ['member_00', 'member_01']

    # An exploration without candidates does not end the loop while another stage is left.
    stages = [{'temperatures': [300]}, {'temperatures': [600], 'steps': 10}]
    outputs, node = run_get_node(ActiveLearningWorkChain, **inputs(trust=AGREEING, convergence=stable, stages=stages))
    assert node.is_finished_ok, node.exit_message
    assert [row['stage'] for row in outputs['iterations']['iterations']] == [0, 1]
    explorations = [child.outputs.statistics for child in node.called if child.process_label == 'ExploreWorkChain']
    conditions = [{(run['temperature'], run['last_step']) for run in done['runs'].values()} for done in explorations]
    assert conditions == [{(300, 20)}, {(600, 10)}]
    assert orphans(node) == []


def test_dynamics_that_fail_say_why_the_loop_is_not_converged(inputs):
    exploding = WATCHED | {'md': WATCHED['md'] | {'timestep': 1000.0}, 'transport': {'ion': 'Cu'}}
    settled = {'convergence': CONVERGENCE | {'maximum_diffusivity_change': 0.2}, 'conductivity': exploding}
    given = inputs(trust=AGREEING, max_active_iterations=1, **settled)
    outputs, node = run_get_node(ActiveLearningWorkChain, **given, max_iterations=1)
    assert node.exit_status == EXIT.ERROR_NOT_CONVERGED.status
    [dynamics] = [child for child in node.called if child.process_label == 'ConductivityWorkChain']
    assert f'ConductivityWorkChain<{dynamics.pk}> says: {dynamics.exit_message}' in node.exit_message
    assert len(outputs['iterations']['iterations']) == 1
    assert all(not row['diffusive'] for row in dynamics.outputs.transport['temperatures'])


def test_a_final_committee_learns_from_the_last_labels(inputs):
    outputs, node = run_get_node(ActiveLearningWorkChain, **inputs(max_active_iterations=1, final_committee=True))
    assert node.exit_status == EXIT.ERROR_NOT_CONVERGED.status
    explored, final = outputs['iterations']['iterations']
    assert final['sampled'] is None
    assert final['frames'] == explored['frames'] + explored['labelled']
    assert final['force_rmse_meV_A'] > 0
    last = [child for child in node.called if child.process_label == 'CommitteeWorkChain'][-1]
    assert outputs['potentials']['member_00'].uuid == last.outputs.potentials['member_00'].uuid


def test_only_failures_end_the_loop_with_what_there_is(inputs):
    trust = {'mode': 'fixed', 'low': 1e-12, 'high': 2e-12, 'quantile': 0.3, 'explosion': 50.0}
    outputs, node = run_get_node(ActiveLearningWorkChain, **inputs(trust=trust))
    assert node.exit_status == EXIT.ERROR_ONLY_FAILURES.status
    [row] = outputs['iterations']['iterations']
    assert row['failed'] > 0 == row['candidate']
    assert outputs['frames'].frames == 40


def test_a_committee_that_cannot_be_trained(inputs, localhost):
    given = inputs()
    given['codes']['dp'] = InstalledCode(computer=localhost, filepath_executable='/bin/false', label='broken').store()
    outputs, node = run_get_node(ActiveLearningWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_COMMITTEE_FAILED.status
    # The first cause is the training's own.
    training = next(child for child in node.called_descendants if child.process_label == 'TrainBaseWorkChain')
    assert training.exit_message in node.exit_message
    assert outputs['frames'].frames == 40


def test_labels_that_fail_keep_the_frames(inputs):
    given = inputs() | {'calculator': Dict({'name': 'no_such_module:Calculator'})}
    outputs, node = run_get_node(ActiveLearningWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_LABEL_FAILED.status
    assert 'no_such_module' in node.exit_message
    assert len(outputs['account']['failed']) == outputs['account']['requested'] == 4
    assert outputs['frames'].frames == 40


def test_labels_that_are_all_rejected_do_not_end_the_study(inputs):
    label = {'batch_size': 10, 'max_force': 1e-6, 'minimum_distance': 0.5, 'minimum_success': 0.5}
    outputs, node = run_get_node(ActiveLearningWorkChain, **inputs(label=label, max_active_iterations=1))
    assert node.exit_status == EXIT.ERROR_NOT_CONVERGED.status
    assert len(outputs['account']['rejected']) == outputs['account']['requested'] == 4
    assert outputs['frames'].frames == 40


def test_the_loop_through_aiida_vasp_when_three_frames_in_ten_fail(inputs, localhost, tmp_path):
    upload_family(tmp_path, ['Cu_pv'])
    faults = {'unconverged': 0.1, 'missing_outcar': 0.1, 'truncated': 0.05, 'killed': 0.05}
    code, log = vasp_code(localhost, tmp_path, faults=faults, transient=['killed'])
    vasp = {'incar': {'ENCUT': 300}, 'kpoints': {'spacing': 1.0}, 'potential_family': FAMILY}
    vasp |= {'potential_mapping': {'Cu': 'Cu_pv'}}
    label = {'batch_size': 100, 'max_force': 50.0, 'minimum_distance': 0.5, 'minimum_success': 0.2, 'vasp': vasp}
    given = inputs(label=label, explore=EXPLORE | {'max_candidates': 4})
    del given['calculator']
    given['codes']['vasp'] = code
    outputs, node = run_get_node(ActiveLearningWorkChain, **given, max_iterations=2, max_concurrent=4)
    assert node.exit_status == EXIT.ERROR_NOT_CONVERGED.status, node.exit_message

    done, account = runs(log), outputs['account'].get_dict()
    met = {entry['frame']: entry['fault'] for entry in reversed(done)}
    hopeless = sum(fault in ('unconverged', 'missing_outcar', 'truncated') for fault in met.values())
    assert hopeless > 0
    # The account adds up, and each frame that failed is named with the reason.
    assert (account['requested'], account['admitted']) == (8, 8 - hopeless) == (len(met), 8 - hopeless)
    assert len(account['failed']) == hopeless
    assert all(entry['reason'] for entry in account['failed'])
    assert unaccounted(node) == orphans(node) == []
    text = report_text(node)
    assert all(entry['id'] in text and entry['reason'] in text for entry in account['failed'])
    # Nothing that was labelled was labelled again, and nothing that did not converge is among the labels.
    good = [entry['frame'] for entry in done if entry['good']]
    assert len(set(good)) == len(good) == 8 - hopeless
    assert outputs['frames'].frames == 40 + 8 - hopeless
    for item in outputs['frames'].sets():
        for frame in range(len(item)):
            atoms = Atoms(item.symbols, item.positions[frame], cell=item.cells[frame], pbc=True, calculator=EMT())
            assert item.energies[frame] == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'max_active_iterations': 0}, '`max_active_iterations`'),
        (
            {
                'convergence': {
                    'accurate_fraction': 0.9,
                    'maximum_force_rmse': None,
                    'maximum_force_change': None,
                }
            },
            '`maximum_force_rmse`, `maximum_force_change`',
        ),
        ({'validation': 1.5}, '`validation`'),
        ({'validation': 0.999}, '`validation` takes 40 of 40'),
        ({'validation': '40'}, '`validation` takes 40 of 40'),
        ({'explore': EXPLORE | {'temperatures': [-5]}}, '`explore.temperatures.0`'),
        ({'stages': [{'temperatures': [300]}, {'temperatures': [0]}]}, '`stages.1.temperatures.0`'),
        ({'convergence': CONVERGENCE | {'maximum_diffusivity_change': 0.2}}, 'give `conductivity`'),
        ({'conductivity': WATCHED}, r'structures\..*: .*Li'),
        (
            {'label': {'dynamics': {'temperature': 300, 'steps': 10, 'interval': 5}}},
            '`label.dynamics`',
        ),
    ],
)
def test_impossible_loops_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(ActiveLearningWorkChain, **inputs(**changes))


def test_one_labeller_is_asked_for(inputs):
    given = inputs()
    del given['calculator']
    with pytest.raises(ValueError, match='calculator, potential'):
        run_get_node(ActiveLearningWorkChain, **given)


def test_an_element_without_frames_is_refused(inputs):
    lithium = StructureData(cell=[[3, 0, 0], [0, 3, 0], [0, 0, 3]])
    lithium.append_atom(position=(0, 0, 0), symbols='Li')
    with pytest.raises(ValueError, match=r'structures\.lithium: '):
        run_get_node(ActiveLearningWorkChain, **inputs() | {'structures': {'lithium': lithium}})


#: What docs/exploration.md lays over a protocol.
DOCUMENTED = {
    'stages': [
        {'temperatures': [50, 100, 200]},
        {'temperatures': [300, 600], 'steps': 5000},
        {'temperatures': [900, 1200], 'pressures': [0.0, 1.0, 2.0], 'steps': 10000},
    ],
    'convergence': {'maximum_diffusivity_change': 0.2},
    'conductivity': {'temperatures': [600, 800], 'precision': {'relative_error': 0.1, 'maximum_steps': 10**8}},
}


@pytest.mark.parametrize('source', ['calculator', 'potential', 'vasp', 'cp2k', 'shell'])
@pytest.mark.parametrize('protocol', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_the_diffusion_is_watched_whatever_labels(
    codes, localhost, tmp_path, tiny_frames, crystal, request, source, protocol
):
    elements = sorted(set(tiny_frames.symbols))
    overrides = DOCUMENTED
    given = {name: codes[name] for name in ('dp', 'lmp', 'python')}
    labeller = {}
    if source == 'calculator':
        labeller['calculator'] = Dict({'name': 'chgnet'})
    elif source == 'potential':
        labeller['potential'] = request.getfixturevalue('tiny_potential')
    else:
        given[source] = InstalledCode(computer=localhost, filepath_executable='/bin/true', label='x')
    if source == 'vasp':
        upload_family(tmp_path, [f'{element}_x' for element in elements])
        mapping = {element: f'{element}_x' for element in elements}
        overrides = overrides | {'label': {'vasp': {'potential_family': FAMILY, 'potential_mapping': mapping}}}
    if source == 'shell':
        arguments = ['{frames}', '{labels}']
        overrides = overrides | {'label': {'shell': {'arguments': arguments}}}
    builder = ActiveLearningWorkChain.get_builder_from_protocol(
        given,
        protocol=protocol,
        overrides=overrides,
        frames=FramesData.from_sets([tiny_frames]),
        structures={'crystal': crystal},
        **labeller,
    )
    assert ActiveLearningWorkChain.spec().inputs.validate(builder._inputs(prune=True)) is None


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_protocols_are_complete(name):
    parameters = ActiveLearningWorkChain.protocol_parameters(name)
    if name == 'demo':
        assert parameters['max_active_iterations'] == 1
        assert parameters['committee']['members'] == 3
        assert parameters['committee']['train']['input']['training']['numb_steps'] == 600
        assert parameters['explore']['max_candidates'] == 36
        assert parameters['explore']['trust']['mode'] == 'adaptive'
