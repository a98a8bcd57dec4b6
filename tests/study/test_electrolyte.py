"""The whole study on two metals and their alloy, with EMT as the calculator and every number small."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from copy import deepcopy
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.reports.graph import call_tree
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text
from aiida_dpasse.study.electrolyte import ElectrolyteWorkChain
from aiida_dpasse.study.electrolyte_parameters import ElectrolyteParameters
from aiida_dpasse.study.electrolyte_report import electrolyte_svg, latest, repairs_table
from aiida_dpasse.study.expected_work import work_of
from aiida_dpasse.study.plan_electrolyte import PHASES

UNDETERMINED = ElectrolyteWorkChain.exit_codes.ERROR_UNDETERMINED.status


@pytest.fixture(scope='session')
def settings(tiny_training, tiny_dpa2) -> dict[str, Any]:
    """Parameters of every phase."""
    member = deepcopy(tiny_training)
    member['input']['model']['descriptor']['sel'] = 'auto:1.5'
    finetune = {'backend': 'pytorch', 'input': {**tiny_dpa2['input'], 'model': {}}}
    perturb = {'cell_fraction': 0.01, 'displacement': 0.05, 'closest': 1.0}
    data = {'supercell': [1, 1, 1], 'scales': [1.0], 'dynamics': None, 'label': {'max_force': 50.0}, 'seed': 1}
    md = {'ensemble': 'npt', 'timestep': 0.5, 'steps': 20}
    trust = {'mode': 'adaptive', 'low': 0.05, 'high': 5.0, 'quantile': 0.3, 'explosion': 100.0}
    small = {'supercell': [1, 1, 1], 'temperatures': [300.0], 'pressures': [0.0], 'replicas': 1, 'runs': None}
    explore = {**small, 'md': {**md, 'sample_interval': 2}, 'trust': trust, 'max_candidates': 4}
    transport = {'supercell': [1, 1, 1], 'replicas': 1, 'temperatures': [300.0], 'transport': {'ion': 'Cu'}}
    dynamics = {'steps': 60, 'timestep': 0.5, 'equilibration': {'ensemble': 'npt', 'steps': 10}}
    conductivity = ConductivityWorkChain.protocol_parameters(
        'demo', {**transport, 'md': {**dynamics, 'trajectory_interval': 2, 'thermo_interval': 10}}
    )
    return {
        'initial_data': {**data, 'perturbations': {'number': 8, **perturb}},
        'active_learning': {
            'max_active_iterations': 1,
            'final_committee': False,
            'validation': 4,
            'convergence': {'accurate_fraction': 1.0, 'maximum_force_rmse': 1e-6, 'maximum_force_change': None},
            'committee': {'members': 2, 'minimum_members': 2, 'train': member, 'seed': 1},
            'explore': {**explore, 'max_per_structure': None, 'seed': 1},
            'label': {'max_force': 50.0},
            'seed': 1,
        },
        'pretrain': {'train': tiny_dpa2, 'split': {'test': 4}, 'seed': 1},
        'finetune_labels': {**data, 'perturbations': {'number': 8, **perturb}},
        'finetune': {'train': {**finetune, 'finetune': {}}, 'split': {'test': 2}, 'seed': 1},
        'distill': {
            **{key: data[key] for key in ('supercell', 'scales', 'seed')},
            'perturbations': {'number': 4, **perturb},
            'dynamics': {'starts': 2, 'frames': 4, 'md': {**md, 'temperature': 300.0}},
            'sample_perturbations': {'number': 2, **perturb},
            'label': {'max_force': 100.0},
            'split': {'test': 4},
            'train': member,
        },
        'conductivity': conductivity,
        'reference': conductivity,
        'seed': 7,
    }


def inputs(codes, parameters, **more):
    chosen = {name: codes[name] for name in ElectrolyteWorkChain.CODES}
    return {'codes': chosen, 'parameters': orm.Dict(parameters), **more}


@pytest.fixture(scope='module')
def study(codes, metals, settings) -> orm.WorkChainNode:
    """A finished study: copper and gold pre-trained, fine-tuned to their alloy, copper simulated."""
    structures = {name: metals[name] for name in ('copper', 'gold')}
    _, node = run_get_node(
        ElectrolyteWorkChain,
        **inputs(codes, settings),
        structures=structures,
        finetune_structures={'alloy': metals['alloy']},
        electrolyte={'copper': metals['copper']},
        reference=metals['copper'],
        calculator=orm.Dict({'name': 'emt'}),
    )
    return node


def phases(node: orm.WorkChainNode) -> dict[str, orm.WorkChainNode]:
    links = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    return {link.link_label: link.node for link in links}


def test_all_phases_ran(study):
    """Sixty steps of a crystal diffuse nowhere: the study says so, with all its outputs."""
    assert study.exit_status == UNDETERMINED, study.exit_message
    begun = {name: node.pk for name, node in phases(study).items()}
    assert set(begun) == set(PHASES)
    # Each begins after those whose results it takes.
    assert begun['initial_data'] < begun['active_learning'] < begun['pretrain'] < begun['distill']
    assert max(begun['pretrain'], begun['finetune_labels']) < begun['finetune']
    assert begun['distill'] < min(begun['conductivity'], begun['reference'])
    for phase in ('initial_data', 'finetune_labels'):
        assert study.outputs[phase].frames.labelled
    assert study.outputs.pretrain.frozen.descriptor == 'dpa2'
    assert study.outputs.distill.student.type_map == ['Cu']
    assert 'transport' in study.outputs.conductivity
    assert 'transport' in study.outputs.reference


def test_the_expected_work_is_what_ran(study):
    """Jobs of each phase by program, steps of training, and steps of dynamics times atoms where one potential runs."""
    inputs = {name: study.inputs[name] for name in study.inputs}
    given = {name: dict(value) if isinstance(value, Mapping) else value for name, value in inputs.items()}
    expected: dict[tuple[str, str], int] = defaultdict(int)
    amounts: dict[tuple[str, str], float] = defaultdict(float)
    bounds = set()
    for work in work_of(ElectrolyteParameters.model_validate(study.inputs.parameters.get_dict()), given):
        phase = work.phase.split('/')[0]
        expected[phase, work.program] += work.jobs
        amounts[phase, work.unit] += work.amount
        bounds |= {(phase, work.program)} if work.bound else set()
    ran: dict[tuple[str, str], int] = defaultdict(int)
    done: dict[tuple[str, str], float] = defaultdict(float)
    for phase, node in phases(study).items():
        for job in [node, *node.called_descendants]:
            if not isinstance(job, orm.CalcJobNode):
                continue
            ran[phase, job.inputs.code.label] += 1
            kind = job.process_type.rpartition(':')[2]
            if kind == 'dpasse.md':
                loops = job.outputs.results['loops']
                done[phase, 'atom-steps'] += sum(loop['atoms'] * loop['steps'] for loop in loops)
            elif kind == 'dpasse.train':
                done[phase, 'steps'] += job.outputs.results['checkpoint_step']
    assert set(expected) == set(ran)
    assert {key: jobs for key, jobs in expected.items() if key not in bounds} == {
        key: jobs for key, jobs in ran.items() if key not in bounds
    }
    assert all(ran[key] <= expected[key] for key in bounds)
    assert {key: amounts[key] for key in done if key[1] == 'steps'} == {
        key: value for key, value in done.items() if key[1] == 'steps'
    }
    for phase in ('distill', 'conductivity', 'reference'):
        assert amounts[phase, 'atom-steps'] == done[phase, 'atom-steps'] > 0


def test_the_summary(study):
    """The numbers are there, and those that are undetermined are null with the reason."""
    summary = study.outputs.summary.get_dict()
    assert summary['conductivity_300K_mS_cm'] is None
    assert summary['activation_energy_eV'] is None
    assert summary['conductivity_reason']
    assert [row['temperature_K'] for row in summary['temperatures']] == [300.0]
    accounts = [phases(study)[name].outputs.account for name in ('initial_data', 'active_learning', 'finetune_labels')]
    assert summary['frames_labelled'] == sum(account['admitted'] for account in accounts)
    assert summary['iterations'] == 1
    assert summary['active_learning_converged'] is False
    assert summary['student_errors_against'] == 'reference'
    assert summary['speedup_student_over_teacher'] > 0
    assert set(summary['finetune']) == {'zero_shot', 'fine_tuned'}
    assert summary['seed'] == 7


def test_every_seed_is_derived(study):
    """No two phases share a seed, and none has the one that the protocol left in it."""
    seeds = [node.inputs.parameters['seed'] for node in phases(study).values()]
    assert len(set(seeds)) == len(PHASES)
    assert 1 not in seeds


def test_every_node_has_a_creator_or_is_an_input(study):
    assert orphans(study) == []


def test_a_study_can_start_in_the_middle(codes, metals, settings, study):
    """With given potentials, only the electrolyte is simulated."""
    _, node = run_get_node(
        ElectrolyteWorkChain,
        **inputs(codes, settings),
        electrolyte={'copper': metals['copper']},
        student=study.outputs.distill.student,
    )
    assert node.exit_status == UNDETERMINED
    assert list(phases(node)) == ['conductivity']
    summary = node.outputs.summary
    assert summary['frames_labelled'] == 0
    assert [row['temperature_K'] for row in summary['temperatures']] == [300.0]


def test_a_failed_phase_ends_the_study(codes, localhost, metals, settings, pure_frames):
    """It names the phase, and what came before it is attached."""
    broken = orm.InstalledCode(computer=localhost, filepath_executable='/bin/false', label='no-dp').store()
    _, node = run_get_node(
        ElectrolyteWorkChain,
        **inputs({**codes, 'dp': broken}, settings),
        active_learning_frames=pure_frames,
        electrolyte={'copper': metals['copper']},
    )
    assert node.exit_status == ElectrolyteWorkChain.exit_codes.ERROR_PHASE_FAILED.status
    assert '`pretrain`' in node.exit_message
    assert isinstance(node.outputs.pretrain.test_data, FramesData)


def test_what_is_missing_is_said_at_once(codes, metals, settings):
    """The builder's own check names the input."""
    with pytest.raises(ValueError, match='structures: `initial_data`'):
        run_get_node(ElectrolyteWorkChain, **inputs(codes, settings), electrolyte={'copper': metals['copper']})


@pytest.mark.parametrize(('phase', 'replicas'), [('conductivity', 1), ('reference', 2)])
def test_every_student_has_a_replica(codes, metals, settings, study, phase, replicas):
    """Fewer replicas than students are refused at once, not after the distillation."""
    conductivity = {**settings['conductivity'], 'replicas': replicas}
    changed = {**settings, 'distill': {**settings['distill'], 'students': 2}, 'conductivity': conductivity}
    with pytest.raises(ValueError, match=f'{phase}: .*`replicas`'):
        run_get_node(
            ElectrolyteWorkChain,
            **inputs(codes, changed),
            pretrained={'frozen': study.outputs.pretrain.frozen},
            electrolyte={'copper': metals['copper']},
            reference=metals['copper'],
        )


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_protocols_are_valid(codes, metals, name):
    """Every protocol passes the checks of its own port, and every phase has settings and a seed."""
    builder = ElectrolyteWorkChain.get_builder_from_protocol(
        codes,
        protocol=name,
        structures={'copper': metals['copper']},
        electrolyte={'copper': metals['copper']},
        calculator={'name': 'emt'},
    )
    parameters = builder.parameters.get_dict()
    assert all('seed' in parameters[phase] for phase in PHASES)
    assert len(parameters['reference']['temperatures']) == 1


def broken(kind: str) -> orm.StructureData:
    """Return a structure that no program can run."""
    cells = {'left-handed': [[0, 4, 0], [4, 0, 0], [0, 0, 4]]}
    structure = orm.StructureData(cell=cells.get(kind, [[4, 0, 0], [0, 4, 0], [0, 0, 4]]))
    if kind == 'molecule':
        structure.set_pbc((False, False, False))
    for position in {'empty': [], 'coinciding': [(0, 0, 0), (0, 0, 0.1)]}.get(kind, [(0, 0, 0)]):
        structure.append_atom(symbols='Cu', position=position)
    return structure


@pytest.mark.parametrize('port', ['structures', 'electrolyte', 'finetune_structures', 'reference'])
@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        ('left-handed', 'handed'),
        ('molecule', 'not periodic'),
        ('empty', 'no atoms'),
        ('coinciding', r' 0\.10 A '),
    ],
)
def test_structures_that_no_program_runs(aiida_profile, port, kind, message):
    """Every port for structures refuses them."""
    builder = ElectrolyteWorkChain.get_builder()
    structure = broken(kind)
    with pytest.raises(ValueError, match=message):
        setattr(builder, port, structure if port == 'reference' else {'crystal': structure})


@pytest.mark.parametrize('port', ['structures', 'electrolyte', 'finetune_structures'])
def test_labels_that_name_no_input(codes, metals, settings, port):
    """A label that AiiDA cannot take is refused in a sentence."""
    given = {'electrolyte': {'copper': metals['copper']}, port: {'my copper': metals['copper']}}
    with pytest.raises(ValueError, match=f"{port}: the label 'my copper'"):
        run_get_node(ElectrolyteWorkChain, **inputs(codes, settings), **given)


def test_a_checkpoint_simulates(codes, metals, settings, pretrained_metals):
    """It is frozen once, for electrolyte and reference."""
    _, node = run_get_node(
        ElectrolyteWorkChain,
        **inputs(codes, settings),
        electrolyte={'copper': metals['copper']},
        reference=metals['copper'],
        student=pretrained_metals.outputs.checkpoint,
    )
    assert node.exit_status == UNDETERMINED, node.exit_message
    calls = phases(node)
    assert list(calls) == ['freeze_0000', 'conductivity', 'reference']
    frozen = calls['freeze_0000'].outputs.frozen
    assert frozen.form == 'frozen'
    assert {calls[phase].inputs.potential.uuid for phase in ('conductivity', 'reference')} == {frozen.uuid}


def short(model: str, steps: int) -> dict[str, Any]:
    """Return what makes a training one of seconds: a small model and few steps."""
    parts = {
        'learning_rate': {'decay_steps': max(steps // 50, 1)},
        'training': {'numb_steps': steps, 'save_freq': steps, 'disp_freq': max(steps // 10, 1)},
    }
    return {'input': {**({'model': {'preset': model}} if model else {}), **parts}}


#: Sizes of `balanced`, made small: no phase, no section and no criterion is taken out.
SMALL: dict[str, Any] = {
    'initial_data': {'scales': [1.0], 'perturbations': {'number': 10}, 'dynamics': {'steps': 4, 'interval': 2}},
    'active_learning': {
        'max_active_iterations': 1,
        'committee': {'members': 2, 'minimum_members': 2, 'train': short('model-se_e2_a-demo', 300)},
        'explore': {
            'temperatures': [300],
            'pressures': [0.0],
            'md': {'timestep': 0.5, 'steps': 20, 'sample_interval': 2, 'thermo_interval': 10},
            # Two hundred steps train no committee that fixed levels are made for.
            'trust': {'mode': 'adaptive', 'high': 5.0, 'explosion': 100.0},
            'max_candidates': 4,
        },
    },
    'pretrain': {'train': short('model-dpa2-demo', 40)},
    'finetune': {'train': short('', 20)},
    'distill': {
        'perturbations': {'number': 6},
        'dynamics': {'starts': 2, 'frames': 4, 'md': {'timestep': 0.5, 'temperature': 300.0, 'steps': 20}},
        'sample_perturbations': {'number': 1},
        'train': short('model-se_e2_a-demo', 300),
        'students': 2,
    },
    # Tested above, and with every protocol in tests/protocols.
    'repair': None,
}
SMALL['finetune_labels'] = SMALL['initial_data']
DYNAMICS: dict[str, Any] = {
    'supercell': [1, 1, 1],
    'replicas': 1,
    'md': {
        'timestep': 0.5,
        'equilibration': {'steps': 10},
        'steps': 80,
        'thermo_interval': 10,
        'trajectory_interval': 2,
    },
    'transport': {'ion': 'Cu'},
}
SMALL['conductivity'] = {**DYNAMICS, 'replicas': 2, 'temperatures': [300, 400]}
SMALL['reference'] = {**DYNAMICS, 'replicas': 2, 'temperatures': [300]}
SMALL['distill']['acceptance'] = {
    'supercell': [1, 1, 1],
    'hot': {'steps': 40, 'sample_interval': 4, 'thermo_interval': 10, 'equilibration': {'steps': 10}},
    'drift': {'steps': 40, 'thermo_interval': 4, 'equilibration': {'steps': 10}},
    'conductivity': {**DYNAMICS, 'temperatures': [300, 400]},
}


def test_balanced_comes_to_its_end(codes, metals):
    """The default protocol with reduced sizes: all phases run, nothing is excepted, and there is a conductivity or its
    reason."""
    builder = ElectrolyteWorkChain.get_builder_from_protocol(
        codes,
        protocol='balanced',
        overrides=SMALL,
        structures={name: metals[name] for name in ('copper', 'gold')},
        finetune_structures={'alloy': metals['alloy']},
        electrolyte={'copper': metals['copper']},
        reference=metals['copper'],
        calculator={'name': 'emt'},
    )
    whole = ElectrolyteWorkChain.protocol_parameters('balanced')
    for phase in PHASES:
        assert set(whole[phase]) <= set(builder.parameters[phase])
        assert [key for key, value in builder.parameters[phase].items() if value is None] == [
            key for key, value in whole[phase].items() if value is None
        ]
    _, node = run_get_node(builder)
    assert node.exit_status in (0, UNDETERMINED), node.exit_message
    excepted = [child for child in node.called_descendants if child.is_excepted or child.is_killed]
    assert not excepted
    assert set(phases(node)) >= set(PHASES)
    assert 'verdict' in node.outputs.distill
    summary = node.outputs.summary
    assert (summary['conductivity_300K_mS_cm'] is None) == bool(summary['conductivity_reason'])


def without_rest(settings: dict[str, Any]) -> dict[str, Any]:
    """Return parameters of a study whose runs exceed a limit at once: no framework stays within a hundredth of an A.

    The committee of two samples the frames that are labelled.
    """
    changed = deepcopy(settings)
    changed['distill']['students'] = 2
    # Every frame beyond the limit of the framework, and none beyond that of the committee, counts as visited.
    changed['conductivity']['trust'] |= {'limit': 50.0, 'high': 100.0, 'interval': 5}
    changed['conductivity']['replicas'] = 2
    changed['conductivity']['md']['watch'] = {'framework_displacement': 0.01, 'heating': None, 'energy_drift': None}
    changed['conductivity']['md']['thermo_interval'] = 10
    changed['repair'] = {'max_rounds': 1, 'max_frames': 5}
    return changed


@pytest.fixture(scope='module')
def repaired(codes, metals, settings, study) -> orm.WorkChainNode:
    """A study whose production exceeds a limit, before and after its one round of repair."""
    _, node = run_get_node(
        ElectrolyteWorkChain,
        **inputs(codes, without_rest(settings)),
        active_learning_frames=study.outputs.active_learning.frames,
        electrolyte={'alloy': metals['alloy']},
        calculator=orm.Dict({'name': 'emt'}),
    )
    return node


def test_a_production_that_exceeds_a_limit_is_repaired(repaired):
    """Its frames are labelled, and teacher, students and production are repeated with other seeds."""
    assert repaired.exit_status == UNDETERMINED, repaired.exit_message
    calls = phases(repaired)
    steps = [f'repair_1_{step}' for step in ('label', 'teach', 'distill', 'conductivity')]
    assert list(calls) == ['pretrain', 'distill', 'conductivity', *steps]
    labels, teach, distill, conductivity = (calls[step] for step in steps)
    known = set(calls['pretrain'].outputs.training_data.ids())
    assert set(teach.inputs.frames.ids()) == known | set(labels.outputs.frames.ids())
    assert teach.inputs.test_data.uuid == calls['pretrain'].outputs.test_data.uuid
    assert distill.inputs.teacher.uuid == teach.outputs.frozen.uuid
    assert conductivity.inputs.potential.uuid == distill.outputs.student.uuid
    assert conductivity.inputs.parameters['seed'] != calls['conductivity'].inputs.parameters['seed']


def test_the_last_outputs_are_attached(repaired):
    """Those of the repeated phases, with the teacher of the repair beside the first."""
    calls = phases(repaired)
    assert repaired.outputs.distill.student.uuid == calls['repair_1_distill'].outputs.student.uuid
    assert repaired.outputs.conductivity.transport.uuid == calls['repair_1_conductivity'].outputs.transport.uuid
    assert repaired.outputs.repaired_teacher.frozen.uuid == calls['repair_1_teach'].outputs.frozen.uuid
    assert repaired.outputs.pretrain.frozen.uuid == calls['pretrain'].outputs.frozen.uuid
    assert set(repaired.outputs.distill.committee) == {'member_0001'}


def test_the_table_of_the_repairs(repaired):
    """One round, every frame of it accounted for, and the budget is spent."""
    table = repaired.outputs.repair.get_dict()
    [row] = table['rounds']
    assert row['round'] == 1
    assert row['refused'] is None
    assert [stop['temperature_K'] for stop in row['stopped']] == [300.0]
    assert row['stopped'][0]['runs'] == 2
    assert row['visited'] == row['known'] + row['close'] + row['chosen'] + row['left_over']
    assert 0 < row['chosen'] <= 5
    assert row['chosen'] == row['labelled'] + row['rejected'] + row['failed']
    assert set(row['before']) == set(row['after'])
    assert not table['repaired']
    assert table['reason']
    summary = repaired.outputs.summary
    assert summary['repair_rounds'] == 1
    assert summary['repaired'] is False
    assert summary['frames_labelled_in_repairs'] == row['labelled']


def test_the_report_shows_the_rounds(repaired):
    """With the results of the last production, and a diagram in which every phase is drawn."""
    [table] = repairs_table(repaired)
    assert [row[0] for row in table.rows] == [1]
    tree = call_tree(repaired.pk)
    for phase in ('distill', 'conductivity'):
        assert latest(repaired, tree, phase).uuid == phases(repaired)[f'repair_1_{phase}'].uuid
    assert latest(repaired, tree, 'active_learning') is None
    ElementTree.fromstring(electrolyte_svg(repaired))


def test_a_repair_keeps_the_provenance(repaired):
    assert orphans(repaired) == []


@pytest.fixture(scope='module')
def wrong(codes, metals, settings, study) -> orm.WorkChainNode:
    """A study whose students fail the check by labels, before and after its one repair: no error is allowed."""
    changed = deepcopy(settings)
    changed['distill']['students'] = 2
    changed['conductivity'] |= {'replicas': 2, 'samples': 12}
    changed['conductivity']['trust'] |= {'limit': 50.0, 'high': 100.0, 'interval': 5}
    changed['check'] = {'frames': 4, 'maximum_error': 1e-6}
    changed['repair'] = {'max_rounds': 1, 'max_frames': 5}
    _, node = run_get_node(
        ElectrolyteWorkChain,
        **inputs(codes, changed),
        active_learning_frames=study.outputs.active_learning.frames,
        electrolyte={'alloy': metals['alloy']},
        calculator=orm.Dict({'name': 'emt'}),
    )
    return node


def test_wrong_students_are_repaired(wrong):
    """Frames of the production are labelled; these and others of it teach the teacher, and the check is repeated."""
    assert wrong.exit_status == UNDETERMINED, wrong.exit_message
    calls = phases(wrong)
    steps = [f'repair_1_{step}' for step in ('label', 'teach', 'distill', 'conductivity', 'check', 'errors')]
    assert list(calls) == ['pretrain', 'distill', 'conductivity', 'check', 'errors', *steps]
    sampled = calls['conductivity'].outputs.samples
    assert sampled.frames == 12
    checked, visited = calls['check'].outputs.frames, calls['repair_1_label'].outputs.frames
    assert checked.frames == 4
    assert set(checked.ids()) <= set(sampled.ids())
    assert not set(checked.ids()) & set(visited.ids())
    known = set(calls['pretrain'].outputs.training_data.ids())
    assert set(calls['repair_1_teach'].inputs.frames.ids()) == known | set(checked.ids()) | set(visited.ids())
    [row] = wrong.outputs.repair['rounds']
    assert row['wrong']
    assert not row['stopped']
    assert wrong.outputs.repair['remaining']['wrong'] == wrong.outputs.check['reason']
    assert orphans(wrong) == []


def test_the_errors_of_the_check(wrong):
    """Those of the evaluation on the labelled frames, relative to the root mean square of the labels."""
    calls = phases(wrong)
    labels, errors = calls['repair_1_check'].outputs.frames, calls['repair_1_errors'].outputs.results.get_dict()
    assert set(errors) == {'student', 'member_0001'}
    forces = np.concatenate([np.ravel(item.forces) for item in labels.sets()])
    rms = 1000 * np.sqrt(np.mean(forces**2))
    check = wrong.outputs.check.get_dict()
    assert check['force_rms_meV_A'] == pytest.approx(rms)
    assert check['force_rmse_meV_A'] == {label: found['force_rmse_meV_A'] for label, found in errors.items()}
    assert check['relative_error'] == pytest.approx(max(check['force_rmse_meV_A'].values()) / rms)
    assert (check['frames'], check['requested'], check['rejected'], check['accepted']) == (4, 4, 0, False)


def test_no_conductivity_of_wrong_students(wrong):
    summary = wrong.outputs.summary
    assert summary['conductivity_300K_mS_cm'] is None
    assert summary['activation_energy_eV'] is None
    assert summary['conductivity_reason'] == wrong.outputs.check['reason']
    assert summary['production_accepted'] is False
    assert summary['production_force_relative_error'] == wrong.outputs.check['relative_error']
    assert wrong.outputs.check['reason'] in report_text(wrong)
