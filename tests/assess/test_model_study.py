"""A model study with real programs, and its table against numbers by hand."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node

from aiida_dpasse.assess.model_study import ModelStudyWorkChain, validate_model_study
from aiida_dpasse.assess.model_study_parameters import of_calculator
from aiida_dpasse.assess.plan_model_study import plan_model_study
from aiida_dpasse.assess.tabulate_model_study import tabulate_model_study
from aiida_dpasse.assess.validate import ValidateWorkChain
from aiida_dpasse.assessment.repeats import ERRORS
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.frames.draw_frames import draw_frames
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.runs import Run, Runs

EXIT = ModelStudyWorkChain.exit_codes
MD = {'ensemble': 'nvt', 'timestep': 1.0, 'steps': 40, 'trajectory_interval': 2, 'thermo_interval': 20}
CONDUCTIVITY = {'temperatures': [300.0], 'md': MD, 'transport': {'ion': 'Cu'}, 'extrapolate_to': None}


@pytest.fixture(scope='session')
def halves(copper_frames) -> tuple[FramesData, FramesData]:
    """Thirty of copper's frames to train on, and the ten others."""
    drawn = draw_frames(copper_frames, orm.Dict({'number': 30, 'choice': 'random', 'seed': 1}))
    chosen = set(drawn.ids())
    rest = [item.take([str(identity) not in chosen for identity in item.ids]) for item in copper_frames.sets()]
    return drawn, FramesData.from_sets(rest).store()


@pytest.fixture
def inputs(codes, copper, halves, tiny_training):
    """Inputs of a study of two sizes; keywords change its parameters."""

    def make(**changes):
        conductivity = ConductivityWorkChain.protocol_parameters('demo', CONDUCTIVITY)
        conductivity['md'] = MD
        parameters = {
            'models': {'small': tiny_training, 'other': None},
            'sizes': [10, 30],
            'repeats': 1,
            'validation': ValidateWorkChain.protocol_parameters('demo', {'descriptors': None}),
            'conductivity': conductivity,
            'seed': 1,
        }
        return {
            'codes': {name: codes[name] for name in ('dp', 'lmp', 'python')},
            'training_data': {'emt': halves[0]},
            'test_data': halves[1],
            'structures': {'copper': copper},
            'parameters': orm.Dict(parameters | changes),
        }

    return make


def test_a_study(inputs, tmp_path):
    """Two sizes, and the calculator that made the labels, whose errors are zero."""
    given = inputs() | {'calculators': {'emt': orm.Dict({'name': 'emt'})}}
    _, node = run_get_node(ModelStudyWorkChain, **given)
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == []
    assert set(node.outputs.potentials) == {'train_0000_small_emt_n10_r0', 'train_0001_small_emt_n30_r0'}
    study = node.outputs.model_study.get_dict()
    points = {point['label']: point for point in study['points']}
    assert set(points) == {*node.outputs.potentials, 'emt'}
    assert points['emt']['force_rmse_meV_A'] == pytest.approx(0, abs=1e-6)
    assert points['train_0001_small_emt_n30_r0']['force_rmse_meV_A'] > 1
    assert [(row['model'], row['data'], row['frames']) for row in study['summary']] == [
        ('small', 'emt', 10),
        ('small', 'emt', 30),
        ('emt', None, None),
    ]
    # Solid copper: every one says that it does not diffuse.
    assert all([entry['verdict'] for entry in point['diffusivities']] == ['not diffusive'] for point in study['points'])
    [enough] = study['enough']
    assert (enough['model'], enough['data'], enough['frames']) == ('small', 'emt', None)
    assert '10 frames' in enough['reason']
    links = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    calls = {link.link_label: link.node for link in links}
    trained = [calls[f'train_000{n}_small_emt_n{size}_r0'].inputs.train for n, size in ((0, 10), (1, 30))]
    assert [train.training_data.frames for train in trained] == [10, 30]
    assert trained[1].training_data.uuid == given['training_data']['emt'].uuid
    # All start from the same velocities.
    assert len({call.inputs.parameters['seed'] for label, call in calls.items() if 'dynamics' in label}) == 1
    assert 'Sufficient number of frames' in report_text(node)
    assert {tmp_path / 'models.png', tmp_path / 'arrhenius.png'} <= set(write_report(node, tmp_path))


def test_failures_are_named_and_the_others_are_reported(inputs, tiny_training):
    """A training that ends with nothing does not take the others with it; without structures there are no dynamics."""
    training = {'numb_steps': 300, 'save_freq': 300, 'disp_freq': 100}
    # Without saturation the forces grow with a power of the weights.
    linear = {
        key: {**value, 'activation_function': 'linear'} if key in ('descriptor', 'fitting_net') else value
        for key, value in tiny_training['input']['model'].items()
    }
    broken = {**tiny_training, 'input': {**tiny_training['input'], 'training': training, 'model': linear}}
    broken['input']['learning_rate'] = {'type': 'exp', 'start_lr': 1e17, 'stop_lr': 1e16, 'decay_steps': 50}
    given = inputs(models={'small': tiny_training, 'wild': broken}, sizes=[10], conductivity=None)
    del given['structures']
    given['max_iterations'] = 1
    _, node = run_get_node(ModelStudyWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_INCOMPLETE.status
    assert '`train_0001_wild_emt_n10_r0`' in node.exit_message
    [row] = node.outputs.model_study['summary']
    assert (row['model'], row['diffusivities'], row['activation_energy_eV']) == ('small', [], None)


def transport(*rates: float | None) -> orm.Dict:
    """Three temperatures; an error of a tenth."""
    told = {'verdict': '', 'reason': ''}
    rows = [
        {
            'temperature_K': kelvin,
            'diffusivity_cm2_s': rate,
            'error_cm2_s': rate and 0.1 * rate,
            'diffusive': rate is not None,
            **told,
        }
        for kelvin, rate in zip((500, 600, 700), rates, strict=True)
    ]
    return orm.Dict({'temperatures': rows})


def test_the_table_by_hand(aiida_profile):
    """Two trainings of each size; of the fewest one differs, of the middle size they agree with the most."""
    rates = {
        (10, 0): (9.0, 20.0, 30.0),
        (10, 1): (3.0, 20.0, None),
        (20, 0): (1.0, 2.0, 3.0),
        (20, 1): (1.1, 2.0, 3.0),
        (40, 0): (1.0, 2.1, 3.1),
        (40, 1): (1.2, 2.1, 3.1),
    }
    planned, tests, found = [], [], {'transport': {}, 'arrhenius': {}}
    for number, ((size, repeat), values) in enumerate(rates.items()):
        run = Run('train', number, model='a', data='x', size=size, replica=repeat)
        planned.append(run)
        tests.append({'potential': run.label, 'admitted': 5, **dict.fromkeys(ERRORS, float(number))})
        found['transport'][run.label] = transport(*values)
        energy = {'activation_energy_eV': 0.2 + 0.01 * number, 'activation_energy_error_eV': 0.02}
        found['arrhenius'][run.label] = orm.Dict(energy)
    tests.append({'potential': 'chgnet', 'admitted': 5, **dict.fromkeys(ERRORS, 9.0)})
    study = tabulate_model_study(orm.Dict(Runs(planned).to_dict()), orm.Dict({'tests': tests}), **found).get_dict()
    few, middle, most, other = study['summary']
    assert (few['frames'], few['repeats'], few['force_rmse_meV_A']) == (10, 2, 0.5)
    assert few['force_rmse_meV_A_error'] == pytest.approx(0.5)
    cold, warm, hot = few['diffusivities']
    assert (cold['diffusivity_cm2_s'], cold['determined'], hot['determined']) == (6.0, 2, 1)
    # The two potentials differ by 18 in variance, the errors are 0.9 and 0.3: 0.45 on average.
    assert cold['diffusivity_error_cm2_s'] == pytest.approx((18 / 2) ** 0.5)
    assert cold['diffusivity_spread_cm2_s'] == pytest.approx((18 - 0.45) ** 0.5)
    # Equal values are not without error: each has its own.
    assert warm['diffusivity_error_cm2_s'] == pytest.approx(2.0 / 2**0.5)
    assert (warm['diffusivity_spread_cm2_s'], hot['diffusivity_spread_cm2_s']) == (0.0, None)
    assert middle['activation_energy_eV'] == pytest.approx(0.225)
    assert (other['model'], other['diffusivities'], other['fitted']) == ('chgnet', [], 0)
    [verdict] = study['enough']
    assert verdict['frames'] == 20
    assert 'D at 600 K' in verdict['reason']
    assert '12.6 ' in verdict['reason']
    assert most['frames'] == 40


@pytest.mark.parametrize(
    ('changes', 'without', 'message'),
    [
        ({'sizes': [31]}, (), r'`sizes` \(31\) .*`training_data.emt` \(30\)'),
        ({'sizes': [5, 5]}, (), '`sizes`'),
        ({'conductivity': None}, (), 'structures: `conductivity`'),
        ({}, ('structures',), 'structures: `conductivity`'),
        ({}, ('training_data',), r'training_data: .*`models`'),
        ({'models': {}}, ('training_data',), 'parameters: .*`models`'),
    ],
)
def test_refused(inputs, changes, without, message):
    given = {name: node for name, node in inputs(**changes).items() if name not in without}
    with pytest.raises(ValueError, match=message):
        run_get_node(ModelStudyWorkChain, **given)


def test_a_potential_that_cannot_be_tested_is_refused(inputs, copper_committee, alloy_frames):
    """Before anything runs."""
    given = inputs(models={'small': None}, conductivity=None) | {'test_data': alloy_frames}
    given = {name: node for name, node in given.items() if name not in ('training_data', 'structures')}
    given['potentials'] = {'copper': copper_committee.outputs.potentials['member_00']}
    with pytest.raises(ValueError, match=r'potentials\.copper: '):
        run_get_node(ModelStudyWorkChain, **given)


def test_frames_that_are_trained_on_are_no_test(inputs, copper_frames):
    given = inputs() | {'test_data': copper_frames}
    with pytest.raises(ValueError, match=r'test_data: 30 .*`training_data.emt`'):
        run_get_node(ModelStudyWorkChain, **given)


def test_frames_of_each_set_come_from_it(copper_frames, alloy_frames, tiny_training):
    """Names of which one begins as the other, and those of a calcfunction's own arguments."""
    settings = {
        **{'models': {'dpa': tiny_training, 'dpa_d3': tiny_training}, 'sizes': [3], 'repeats': 1, 'seed': 1},
        'validation': ValidateWorkChain.protocol_parameters('demo', {'descriptors': None}),
    }
    data = {'pbe_sol': alloy_frames, 'pbe': copper_frames, 'd3_pbe': copper_frames}
    data |= {'parameters': copper_frames, 'metadata': alloy_frames}
    runs = Runs.from_dict(plan_model_study(orm.Dict(settings), training_data=data)['runs'].get_dict())
    trainings = runs.select(what='train')
    assert {(run.model, run.data) for run in trainings} == {
        (model, name) for model in ('dpa', 'dpa_d3') for name in data
    }
    assert len({run.label for run in trainings}) == 10
    assert sorted(str(run.data) for run in runs.select(what='draw')) == sorted(data)


def test_each_set_is_drawn_from_itself_in_the_chain(inputs, halves, tiny_training):
    """The frames that a training named `pbe_sol` sees are those of `pbe_sol`."""
    [item] = halves[0].sets()
    first, second = (FramesData.from_sets([item.take(part)]).store() for part in (range(15), range(15, 30)))
    given = inputs(sizes=['3'], repeats='1', conductivity=None)
    del given['structures']
    given['training_data'] = {'pbe_sol': second, 'pbe': first}
    _, node = run_get_node(ModelStudyWorkChain, **given)
    assert node.is_finished_ok, node.exit_message
    links = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    seen = {
        name: set(link.node.inputs.train.training_data.ids())
        for link in links
        for name, label in (('pbe', 'train_0000_small_pbe_n3_r0'), ('pbe_sol', 'train_0001_small_pbe_sol_n3_r0'))
        if link.link_label == label
    }
    assert len(seen['pbe']) == len(seen['pbe_sol']) == 3
    assert seen['pbe'] < set(first.ids())
    assert seen['pbe_sol'] < set(second.ids())


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_a_calculator_is_accepted_in_every_protocol(inputs, halves, name):
    """Its dynamics is at constant volume and is not carried on, whatever that of the potentials is."""
    ion = {'conductivity': {'transport': {'ion': 'Cu'}}, 'models': {'dpa2': None, 'se_e2_a': None}}
    parameters = ModelStudyWorkChain.protocol_parameters(name, ion)
    given = inputs() | {'calculators': {'emt': orm.Dict({'name': 'emt'})}, 'parameters': orm.Dict(parameters)}
    del given['training_data']
    assert validate_model_study(given) is None
    own = of_calculator(ModelStudyWorkChain.PARAMETERS.model_validate(parameters).conductivity)
    assert own['precision'] is None
    assert own['md']['equilibration']['ensemble'] == 'nvt'


def test_a_left_handed_crystal_is_refused(inputs):
    cell = orm.StructureData(cell=[[0, 4, 0], [4, 0, 0], [0, 0, 4]])
    cell.append_atom(position=(0, 0, 0), symbols='Cu')
    with pytest.raises(ValueError, match=r'structures\.mirror: .*left'):
        run_get_node(ModelStudyWorkChain, **{**inputs(), 'structures': {'mirror': cell}})
