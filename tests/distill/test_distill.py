"""Distillation of a tiny DPA-2 into a tiny student, with the real programs."""

from __future__ import annotations

from copy import deepcopy

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node

from aiida_dpasse.distill.distill import DistillWorkChain
from aiida_dpasse.reports.accounting import unaccounted
from aiida_dpasse.reports.provenance import orphans


@pytest.fixture(scope='session')
def recipe(tiny_training) -> dict:
    """The recipe with every number small."""
    train = {**deepcopy(tiny_training), 'compress': True}
    perturb = {'cell_fraction': 0.01, 'displacement': 0.03}
    md = {'ensemble': 'npt', 'temperature': 300.0, 'pressure': 1e-4, 'timestep': 0.5, 'steps': 20}
    return {
        'supercell': [1, 1, 1],
        'scales': [1.0],
        'perturbations': {'number': 4, **perturb},
        'dynamics': {'starts': 2, 'frames': 4, 'md': {**md, 'thermo_interval': 5}},
        'sample_perturbations': {'number': 2, **perturb},
        'label': {'max_force': 100.0, 'minimum_distance': 0.5},
        'split': {'test': 6},
        'train': train,
        'seed': 5,
    }


@pytest.fixture(scope='session')
def acceptance() -> dict:
    """An acceptance that a tiny student of a tiny teacher passes."""
    hot = {'ensemble': 'nvt', 'temperature': 100.0, 'timestep': 0.5, 'steps': 20, 'sample_interval': 2}
    names = ('density_change', 'energy_drift', 'diffusion_deviation', 'activation_deviation', 'speedup')
    limits = {'force_mae': 1e4, 'energy_mae': 1e4, 'error_ratio': 1e3, 'rdf_mismatch': 0.9, **dict.fromkeys(names)}
    return {'supercell': [1, 1, 1], 'hot': hot, 'drift': None, 'limits': limits, 'rdf_cutoff': 4.0, 'seed': 1}


def inputs(codes, teacher, structures, recipe, **more):
    chosen = {name: codes[name] for name in DistillWorkChain.CODES}
    return {'codes': chosen, 'teacher': teacher, 'structures': structures, 'parameters': orm.Dict(recipe), **more}


@pytest.fixture(scope='module')
def distilled(codes, pretrained_metals, metals, recipe, acceptance, pure_frames) -> orm.WorkChainNode:
    """A finished distillation for copper, tested on frames of copper and gold, with a round that it cannot pass."""
    recipe = {**recipe, 'students': 2, 'rounds': {'maximum': 1, 'force_mae': 1e-6}, 'acceptance': acceptance}
    teacher, copper = pretrained_metals.outputs.frozen, {'copper': metals['copper']}
    more = {'frames': pure_frames, 'test_data': pure_frames}
    _, node = run_get_node(DistillWorkChain, **inputs(codes, teacher, copper, recipe, **more))
    assert node.is_finished_ok, node.exit_message
    return node


def test_the_student(distilled):
    """A compressed TensorFlow potential that knows what it was distilled for."""
    student = distilled.outputs.student
    assert (student.framework, student.form, student.type_map) == ('tensorflow', 'compressed', ['Cu'])
    assert distilled.outputs.learning_curve.get_array('step')[-1] == 300


def test_every_frame_is_accounted_for(distilled):
    """Four perturbed frames, two runs of four samples, each perturbed twice, copper's of the given: 4 + 8 + 16 + 15."""
    account = distilled.outputs.account.get_dict()
    assert account['requested'] == 43
    assert account['requested'] == account['admitted'] + len(account['rejected']) + len(account['failed'])
    taught = distilled.outputs.rounds['rounds'][0]['admitted']
    assert distilled.outputs.frames.frames == account['admitted'] + taught
    assert unaccounted(distilled) == []
    assert orphans(distilled) == []
    assert (account['dynamics']['requested'], account['dynamics']['admitted']) == (2, 2)


def test_the_errors(distilled):
    """The student against its teacher, and both against reference labels of copper alone."""
    errors = distilled.outputs.errors.get_dict()
    assert set(errors['against_teacher']) == {'student'}
    assert set(errors['against_reference']) == {'student', 'teacher'}
    call = distilled.base.links.get_outgoing(link_label_filter='against_reference_0000').one().node
    assert call.inputs.job.frames.formulas == {'Cu8': 15}


def test_the_speed(distilled):
    """Student and teacher ran the same structure with the same settings."""
    speed = distilled.outputs.speed.get_dict()
    assert speed['ratio'] == pytest.approx(speed['student_katom_steps_per_s'] / speed['teacher_katom_steps_per_s'])
    runs = {
        link.link_label: link.node.inputs.md
        for link in distilled.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
        if link.link_label in ('md_0000_300K', 'student_0000_300K')
    }
    for name in ('structure', 'parameters'):
        assert runs['student_0000_300K'][name].uuid == runs['md_0000_300K'][name].uuid
    assert runs['student_0000_300K'].potentials.student.uuid == distilled.outputs.student.uuid


def test_what_the_student_met_by_itself_is_learned(distilled):
    """Two runs of four samples from the teacher's starts, labelled by the teacher, learned in a second training."""
    table = distilled.outputs.rounds.get_dict()
    [row] = table['rounds']
    assert (row['round'], row['runs'], row['survived'], row['requested']) == (1, 2, 2, 8)
    assert row['requested'] == row['admitted'] + row['rejected'] + row['failed']
    assert not table['settled']
    assert not table['settled']
    calls = {
        link.link_label: link.node for link in distilled.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    }
    first, second = (calls[key].inputs.train.training_data for key in ('train', 'train_01'))
    taught = calls['relabel_01'].outputs.frames
    assert set(second.ids()) == set(first.ids()) | set(taught.ids())
    assert not set(distilled.outputs.test_data.ids()) & set(second.ids())
    assert calls['explore_0000_i001_300K'].inputs.md.potentials.student.uuid != distilled.outputs.student.uuid
    assert calls['student_0000_300K'].inputs.md.potentials.student.uuid == distilled.outputs.student.uuid


def test_the_committee(distilled):
    """A second student on the frames of the last training, with another seed."""
    calls = {
        link.link_label: link.node for link in distilled.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    }
    first, second = (calls[key].inputs.train for key in ('train_01', 'member_0001'))
    assert first.training_data.uuid == second.training_data.uuid
    assert first.parameters['seed'] != second.parameters['seed']
    assert first.parameters['input'] == second.parameters['input']
    assert set(distilled.outputs.committee) == {'member_0001'}
    assert distilled.outputs.committee['member_0001'].sha256 != distilled.outputs.student.sha256


def test_the_student_is_accepted(distilled):
    """The verdict is that of the child, on frames that neither training saw."""
    verdict = distilled.outputs.verdict.get_dict()
    assert verdict['accepted'], verdict['reason']
    child = distilled.base.links.get_outgoing(link_label_filter='accept').one().node
    assert child.inputs.frames.uuid == distilled.outputs.test_data.uuid
    assert child.inputs.student.uuid == distilled.outputs.student.uuid


def test_frames_know_their_run(distilled):
    """Samples carry their step; what was perturbed from them says so."""
    steps = {int(step) for item in distilled.outputs.frames.sets() for step in item.steps}
    assert steps == {-1, 5, 10, 15, 20}
    reasons = {str(reason) for item in distilled.outputs.frames.sets() for reason in item.reasons}
    assert any('perturbed' in reason for reason in reasons)


def test_a_teacher_that_explodes(codes, pretrained_metals, metals, recipe):
    """Too few runs end it, and it says how many."""
    hot = deepcopy(recipe)
    hot['dynamics']['md'] |= {'temperature': 1e5, 'timestep': 158.0, 'ensemble': 'nve'}
    teacher = pretrained_metals.outputs.frozen
    _, node = run_get_node(DistillWorkChain, **inputs(codes, teacher, {'copper': metals['copper']}, hot))
    assert node.exit_status == DistillWorkChain.exit_codes.ERROR_DYNAMICS_FAILED.status
    assert '0 of 2' in node.exit_message
    # A run that explodes at once has sampled nothing to learn from.
    assert 'visited' not in node.outputs


def test_a_refused_student_shows_where_it_was(codes, pretrained_metals, metals, recipe, acceptance):
    """The frames of its hot run are attached, for labelling."""
    strict = {**acceptance, 'limits': {**acceptance['limits'], 'force_mae': 1e-6}}
    teacher = pretrained_metals.outputs.frozen
    given = {**recipe, 'acceptance': strict}
    _, node = run_get_node(DistillWorkChain, **inputs(codes, teacher, {'copper': metals['copper']}, given))
    assert node.exit_status == DistillWorkChain.exit_codes.ERROR_REFUSED.status
    assert node.outputs.visited.formulas == {'Cu8': 10}
    assert 'committee' not in node.outputs


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'perturbations': {'number': 1, 'cell_fraction': 0.1, 'displacement': 0}},
            r'`dynamics.starts` \(2\)',
        ),
        ({'seed': -1}, '`seed`'),
        ({'dynamics': {'starts': 1, 'frames': 9, 'md': {'ensemble': 'nvt', 'steps': 8}}}, 'temperature'),
        (
            {'dynamics': {'starts': 1, 'frames': 9, 'md': {'ensemble': 'nvt', 'steps': 8, 'temperature': 300}}},
            r'`frames` \(9\) .*`md.steps` \(8\)',
        ),
        (
            {'dynamics': {'starts': 1, 'frames': 1, 'md': {'ensemble': 'nvt', 'steps': 8, 'seed': 1}}},
            '`md.seed`',
        ),
    ],
)
def test_impossible_recipes_are_refused(codes, pretrained_metals, metals, recipe, changes, message):
    """Before anything is submitted, in one sentence."""
    teacher = pretrained_metals.outputs.frozen
    with pytest.raises(ValueError, match=message):
        run_get_node(DistillWorkChain, **inputs(codes, teacher, {'copper': metals['copper']}, recipe | changes))


def test_impossible_teachers_are_refused(codes, pretrained_metals, metals, recipe):
    """A teacher cannot teach elements that it does not know."""
    outputs = pretrained_metals.outputs
    salt = orm.StructureData(cell=[[4, 0, 0], [0, 4, 0], [0, 0, 4]])
    salt.append_atom(position=(0, 0, 0), symbols='Li')
    with pytest.raises(ValueError, match=r'teacher: .*Li.*`salt`'):
        run_get_node(DistillWorkChain, **inputs(codes, outputs.frozen, {'salt': salt}, recipe))


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_protocols_are_valid(codes, name):
    """Every protocol passes the checks of its own port, and keeps the paper's conditions."""
    builder = DistillWorkChain.get_builder_from_protocol(codes, protocol=name)
    dynamics = builder.parameters['dynamics']
    temperature, ensemble = (700.0, 'nvt') if name == 'demo' else (900.0, 'npt')
    assert dynamics['starts'] == 5
    assert (dynamics['md']['temperature'], dynamics['md']['ensemble']) == (temperature, ensemble)
    assert builder.parameters['label']['max_force'] == 10.0


def test_the_paper_labels_its_number_of_frames():
    """Perturbed frames, those of the runs and their copies: the 8,579 of the paper before the filter."""
    parameters = DistillWorkChain.protocol_parameters('dpa-sse')
    sampled = parameters['dynamics']['starts'] * parameters['dynamics']['frames']
    first, copies = parameters['perturbations']['number'], parameters['sample_perturbations']['number']
    assert first >= 2000
    assert first + sampled * (1 + copies) == 8579
    assert parameters['train']['input']['training']['numb_steps'] == 1000000
    assert parameters['acceptance']['limits']['speedup'] == 100.0


def test_balanced_ends_with_a_verdict_on_transport(codes, pretrained_metals, metals, recipe, acceptance):
    """The protocol at tiny sizes: the student's transport beside the teacher's, of copper that does not diffuse."""
    md = {'timestep': 0.5, 'steps': 40, 'trajectory_interval': 2, 'thermo_interval': 20}
    conductivity = {
        'supercell': [1, 1, 1],
        'temperatures': [50, 100],
        'replicas': 1,
        'md': {**md, 'equilibration': {'ensemble': 'nvt', 'steps': 10}, 'watch': None},
        'transport': {'ion': 'Cu'},
    }
    limits = {**acceptance['limits'], 'diffusion_deviation': 3.0, 'activation_deviation': 3.0}
    hot = {**acceptance['hot'], 'equilibration': None}
    own = {**acceptance, 'hot': hot, 'limits': limits, 'conductivity': conductivity}
    parameters = DistillWorkChain.protocol_parameters('balanced', {'acceptance': own})
    assert parameters['acceptance']['conductivity']['extrapolate_to'] == 300.0
    copper, teacher = {'copper': metals['copper']}, pretrained_metals.outputs.frozen
    outputs, node = run_get_node(DistillWorkChain, **inputs(codes, teacher, copper, {**parameters, **recipe}))
    assert node.is_finished_ok, node.exit_message
    assert outputs['verdict']['accepted']
    checks = {check['name']: check['passed'] for check in outputs['verdict']['checks']}
    assert [passed for name, passed in checks.items() if name.startswith('diffusion')] == [None, None]
    assert all(child.process_state.value == 'finished' for child in node.called_descendants)
