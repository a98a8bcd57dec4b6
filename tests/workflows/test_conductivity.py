"""The conductivity with real dynamics: solid copper is honestly undetermined, what fails is named."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node

from aiida_dpasse.workflows.conductivity import ConductivityParameters, ConductivityWorkChain

CALLS = (LinkType.CALL_CALC, LinkType.CALL_WORK)
EXIT = ConductivityWorkChain.exit_codes
MD = {'ensemble': 'nvt', 'timestep': 1.0, 'steps': 60, 'trajectory_interval': 2, 'thermo_interval': 20}
PARAMETERS = {
    'supercell': [1, 1, 1],
    'temperatures': [300, 600.0],
    'replicas': 1,
    'md': {**MD, 'equilibration': {'ensemble': 'npt', 'steps': 10}},
    'transport': {'ion': 'Cu'},
    'hop_length': 2.5,
    'extrapolate_to': 300.0,
    'seed': 1,
}


@pytest.fixture
def inputs(codes, copper, copper_committee):
    """Inputs of a conductivity; keywords change its parameters."""

    def make(**changes):
        return {
            'codes': {name: codes[name] for name in ConductivityWorkChain.CODES},
            'structures': {'copper': copper},
            'potential': copper_committee.outputs.potentials['member_00'],
            'parameters': orm.Dict(PARAMETERS | changes),
        }

    return make


def test_a_solid_metal_is_honestly_undetermined(inputs):
    outputs, node = run_get_node(ConductivityWorkChain, **inputs())
    assert node.exit_status == EXIT.ERROR_UNDETERMINED.status
    assert '0 of 2 temperatures are diffusive and 3 are needed' in node.exit_message
    assert set(outputs) == {'transport', 'arrhenius', 'curves'}
    rows = outputs['transport']['temperatures']
    assert [row['temperature_K'] for row in rows] == [300, 600]
    assert [(row['diffusive'], row['runs'], row['runs_failed']) for row in rows] == [(False, 1, [])] * 2
    assert all('the ions rattle, or the run is too short' in row['reason'] for row in rows)
    assert outputs['arrhenius']['conductivity_mS_cm'] is None
    # Hotter atoms rattle more, and the frames are those that were asked for.
    msd = [outputs['curves'].get_array(f'msd_A2_{index:02d}') for index in range(2)]
    assert 0 < msd[0].max() < msd[1].max()
    assert len(msd[0]) == 16
    called = {link.link_label: link.node for link in node.base.links.get_outgoing(link_type=CALLS).all()}
    assert {'plan', 'supercell_copper', 'md_copper_00_00', 'transport_copper_01_00', 'determine'} <= set(called)
    assert len({called[f'md_copper_{index:02d}_00'].inputs.md.parameters['seed'] for index in range(2)}) == 2


def test_configurations_of_different_size_are_refused(inputs, copper):
    double = orm.StructureData(ase=copper.get_ase() * (2, 1, 1))
    given = inputs()
    given['structures']['double'] = double
    _, node = run_get_node(ConductivityWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_STRUCTURES.status
    assert 'should have one supercell formula, these have copper: Cu32, double: Cu64' in node.exit_message


def test_a_cell_that_cannot_be_repeated(inputs):
    _, node = run_get_node(ConductivityWorkChain, **inputs(supercell=[0, 1, 1]))
    assert node.exit_status == EXIT.ERROR_STRUCTURES.status


def test_all_runs_failed(inputs, localhost):
    broken = orm.InstalledCode(computer=localhost, filepath_executable='/bin/false', label='broken-lmp').store()
    given = inputs(temperatures=[300])
    given['codes']['lmp'] = broken
    outputs, node = run_get_node(ConductivityWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_NO_RUN_FINISHED.status
    assert 'None of the 1 runs ended well' in node.exit_message
    assert outputs == {}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'temperatures': [300, 0]}, '`temperatures.1` should be greater than 0'),
        ({'replicas': 0}, '`replicas` should be greater than 0'),
        ({'md': MD | {'temperature': 300}}, '`md.temperature` is set for each run'),
        ({'md': MD | {'trajectory_interval': None}}, '`md.trajectory_interval` is missing'),
        ({'md': MD | {'steps': 0}}, '`steps` should be greater than 0'),
        ({'transport': {'ion': 'Li'}}, 'structures.copper: it holds no Li'),
        ({'extrapolate_to': -5}, '`extrapolate_to` should be greater than 0'),
    ],
)
def test_impossible_conductivities_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(ConductivityWorkChain, **inputs(**changes))


def test_codes_of_two_computers_are_refused(inputs, aiida_computer_local):
    given = inputs()
    other = aiida_computer_local(label='elsewhere')
    given['codes']['python'] = orm.InstalledCode(
        computer=other, filepath_executable='/bin/true', label='python-elsewhere'
    ).store()
    with pytest.raises(ValueError, match=r'codes\.python: it runs on elsewhere and LAMMPS on'):
        run_get_node(ConductivityWorkChain, **given)


@pytest.mark.parametrize('name', ['dpa-sse', 'moderate', 'fast', 'demo'])
def test_protocols_are_complete(name):
    parameters = ConductivityParameters.model_validate(ConductivityWorkChain.protocol_parameters(name))
    assert len(parameters.temperatures) >= 3
    assert parameters.md['steps'] // parameters.md['trajectory_interval'] >= 300
    if name == 'demo':
        assert parameters.replicas == 2
        assert parameters.md['steps'] * parameters.md['timestep'] == 15000
