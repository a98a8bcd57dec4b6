"""The conductivity with real dynamics: solid copper is honestly undetermined, what fails is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from ase.build import bulk
from made_up_models import checkpoint

from aiida_dpasse.calculations.md_stops import DEVIATION, STOPS
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text

CALLS = (LinkType.CALL_CALC, LinkType.CALL_WORK)
EXIT = ConductivityWorkChain.exit_codes
MD = {'ensemble': 'nvt', 'timestep': 1.0, 'steps': 60, 'trajectory_interval': 2, 'thermo_interval': 20}
PARAMETERS = {
    'supercell': [1, 1, 1],
    'temperatures': [300, 600.0],
    'replicas': 1,
    'md': {**MD, 'equilibration': {'ensemble': 'npt', 'steps': 10}},
    'transport': {'ion': 'Cu'},
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
    assert set(outputs) == {'transport', 'arrhenius', 'curves'}
    rows = outputs['transport']['temperatures']
    assert [row['temperature_K'] for row in rows] == [300, 600]
    assert [(row['diffusive'], row['runs'], row['runs_failed']) for row in rows] == [(False, 1, [])] * 2
    assert all(0 < row['upper_bound_cm2_s'] < 1e-3 for row in rows)
    assert outputs['arrhenius']['conductivity_mS_cm'] is None
    # Hotter atoms rattle more, and the frames are those that were asked for.
    msd = [outputs['curves'].get_array(f'msd_A2_{index:02d}') for index in range(2)]
    assert 0 < msd[0].max() < msd[1].max()
    assert len(msd[0]) == 16
    called = {link.link_label: link.node for link in node.base.links.get_outgoing(link_type=CALLS).all()}
    assert {
        'plan',
        'supercell_0000_copper',
        'md_0000_copper_300K_r0',
        'transport_0001_copper_600K_r0',
        'determine',
    } <= set(called)
    assert (
        len(
            {
                called[f'md_{index:04d}_copper_{kelvin}K_r0'].inputs.md.parameters['seed']
                for index, kelvin in enumerate((300, 600))
            }
        )
        == 2
    )


def test_runs_go_on_until_the_diffusion_is_known_or_the_budget_is_spent(inputs):
    """Solid copper has no diffusion to determine: both runs are doubled once, and the precision is not reached."""
    precision = {'relative_error': 0.1, 'maximum_steps': 200}
    given = inputs(temperatures=[300], precision=precision, extrapolate_to=None)
    _, node = run_get_node(ConductivityWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_IMPRECISE.status
    assert '10%' in node.exit_message
    assert '300 K' in node.exit_message
    assert '200 steps' in node.exit_message
    # What is linked, not what the process held last.
    [row] = node.outputs.transport['temperatures']
    assert (row['runs'], row['duration_ps']) == (1, pytest.approx(0.12))
    called = {link.link_label: link.node for link in node.base.links.get_outgoing(link_type=CALLS).all()}
    first, second = called['md_0000_copper_300K_r0'], called['md_0000_s01_copper_300K_r0']
    assert [run.inputs.md.parameters['steps'] for run in (first, second)] == [60, 120]
    assert second.inputs.md.restart_folder.uuid == first.outputs.remote_folder.uuid
    # It went on where the first ended, and every frame is there once.
    assert second.outputs.results['atom_steps'] < first.outputs.results['atom_steps'] + 32 * 20
    assert called['transport_0000_copper_300K_r0'].outputs.results['frames'] == 31
    assert called['transport_0000_s01_copper_300K_r0'].outputs.results['frames'] == 61
    assert not any('s02' in label for label in called)
    assert orphans(node) == []


def test_runs_beyond_the_trust_of_the_committee_give_candidates(inputs, copper_committee):
    """Nothing is within so small a limit: all runs are stopped, and what they sampled is to be labelled."""
    trust = {'limit': 1e-6, 'rows': 2, 'high': 100.0, 'interval': 20, 'max_candidates': 5}
    given = inputs(trust=trust, replicas=2) | {'committee': {'other': copper_committee.outputs.potentials['member_01']}}
    _, node = run_get_node(ConductivityWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_ALL_STOPPED.status
    assert 'md_0000_copper_potential_300K_r0' in node.exit_message
    rows = node.outputs.transport['temperatures']
    assert [row['verdict'] for row in rows] == [STOPS[DEVIATION].verdict] * 2
    assert [(row['runs'], row['diffusivity_cm2_s']) for row in rows] == [(0, None)] * 2
    assert all(row['density_g_cm3'] > 7 for row in rows)
    statistics = node.outputs.trust.get_dict()
    # Every sample is accounted for: three of each run, fewer if its monitor came before it had ended by itself.
    assert 8 <= statistics['sampled'] == statistics['candidate'] <= 12
    assert statistics['chosen'] == 5
    [chosen] = node.outputs.candidates.sets()
    assert set(chosen.sources) <= {f'samples__md_{number:04d}' for number in range(4)}
    assert (chosen.deviations > 1e-6).all()
    called = {link.link_label: link.node for link in node.base.links.get_outgoing(link_type=CALLS).all()}
    potentials = called['md_0001_copper_other_300K_r1'].inputs.md.potentials
    assert sorted(potentials) == ['potential', 'watch_potential']
    assert potentials['potential'].uuid == given['committee']['other'].uuid
    assert orphans(node) == []


def test_a_larger_cell_is_run_and_compared(inputs):
    size = {'supercell': [2, 1, 1], 'temperature': 300, 'replicas': 1}
    _, node = run_get_node(ConductivityWorkChain, **inputs(temperatures=[300], extrapolate_to=None, finite_size=size))
    assert node.is_finished_ok, node.exit_message
    [row] = node.outputs.transport['temperatures']
    assert (row['runs'], row['ions'], row['stopped'], row['verdict']) == (1, 32, [], 'not diffusive')
    found = node.outputs.transport['finite_size']
    assert (found['ions'], found['agrees']) == ([32, 64], None)
    assert 'do not both determine how fast' in found['reason']
    assert len(node.outputs.curves.get_array('map_lag_ps_00')) == len(node.outputs.curves.get_array('self_per_A_00'))
    assert 'unknown, at 300 K' in report_text(node)
    assert orphans(node) == []


def test_every_structure_has_its_own_larger_cell(inputs, copper):
    """One label looks like the larger cell of another, one like a keyword of AiiDA."""
    labels = ('a', 'a_large', 'metadata')
    size = {'supercell': [2, 1, 1], 'temperature': 300}
    md = {**MD, 'steps': 20}
    given = inputs(temperatures=[300], extrapolate_to=None, finite_size=size, md=md)
    given['structures'] = {}
    for place, label in enumerate(labels):
        cell = copper.clone()
        cell.set_cell((np.array(copper.cell) * (1 + 0.01 * place)).tolist())
        given['structures'][label] = cell
    _, node = run_get_node(ConductivityWorkChain, **given)
    assert node.is_finished_ok, node.exit_message
    runs = [child for child in node.called if child.process_label == 'MDBaseWorkChain']
    cells = [(len(run.inputs.md.structure.sites), round(run.inputs.md.structure.cell[1][1], 2)) for run in runs]
    assert sorted(cells) == [(atoms, round(7.22 * (1 + 0.01 * place), 2)) for atoms in (32, 64) for place in range(3)]
    assert node.outputs.transport['temperatures'][0]['runs'] == 3
    assert node.outputs.transport['finite_size']['ions'] == [32, 64]


#: Lines of LAMMPS that read a trajectory and determine its displacements themselves.
RERUN = """units metal
boundary p p p
atom_style atomic
region cell prism 0 {length} 0 {length} 0 {length} 0 0 0
create_box 1 cell
create_atoms 1 random {atoms} 1 NULL
mass 1 63.546
pair_style zero 3.0
pair_coeff * *
read_dump {path} {first} x y z box yes replace yes scaled no wrapped no
compute displacement all msd com no
thermo_style custom step c_displacement[4]
thermo {interval}
rerun {path} dump x y z box yes scaled no wrapped no
"""


def test_the_diffusion_of_a_liquid_is_that_of_lammps(inputs, codes, tmp_path):
    """Liquid copper, and its displacements by LAMMPS and by a loop over time origins."""
    md = {**MD, 'timestep': 4.0, 'steps': 3000, 'trajectory_interval': 10, 'thermo_interval': 100}
    given = inputs(
        md={**md, 'equilibration': {'ensemble': 'nvt', 'steps': 500}}, temperatures=[3500], extrapolate_to=None
    )
    given.pop('potential')
    given['structures'] = {'liquid': orm.StructureData(ase=bulk('Cu', a=3.85, cubic=True) * (2, 2, 2))}
    _, node = run_get_node(ConductivityWorkChain, **given, calculator=orm.Dict({'name': 'emt'}))
    assert node.is_finished_ok, node.exit_message
    [row] = node.outputs.transport['temperatures']
    assert row['verdict'] == 'diffusive', row['reason']
    [dynamics] = [child for child in node.called if child.process_label == 'AseMDBaseWorkChain']
    path = f'{dynamics.outputs.remote_folder.get_remote_path()}/trajectory.lammpstrj'
    positions = np.array([places for _, _, places in DumpReader([path])])
    assert positions.shape == (301, 32, 3)

    # By LAMMPS: of one time origin, which checks the ways of the atoms to the last digit of its table.
    script = RERUN.format(length=7.7, atoms=32, path=path, first=500, interval=10)
    (tmp_path / 'in.lmp').write_text(script)
    command = f'{codes["lmp"].prepend_text}\n{codes["lmp"].filepath_executable} -in in.lmp -log none'
    done = subprocess.run(['bash', '-c', command], cwd=tmp_path, capture_output=True, text=True, check=True)
    table = [line.split() for line in done.stdout.splitlines()]
    found = {int(fields[0]): float(fields[1]) for fields in table if len(fields) == 2 and fields[0].isdigit()}
    steps = np.arange(500, 3501, 10)
    by_lammps = np.array([found[step] for step in steps])
    own = np.mean(np.sum((positions - positions[0]) ** 2, axis=2), axis=1)
    np.testing.assert_allclose(by_lammps, own, rtol=1e-4, atol=1e-6)

    # By a loop over time origins: 6 D is the slope from 0.5 to 4 ps.
    lags = np.arange(13, 101)
    msd = [np.mean(np.sum((positions[lag:] - positions[:-lag]) ** 2, axis=2)) for lag in lags]
    slope = np.polyfit(0.04 * lags, msd, 1)[0]
    assert row['diffusivity_cm2_s'] == pytest.approx(1e-4 * slope / 6, rel=0.15)
    assert abs(row['diffusivity_cm2_s'] - 1e-4 * slope / 6) < 3 * row['error_cm2_s']
    # One time origin and 32 atoms know it less well.
    assert row['diffusivity_cm2_s'] == pytest.approx(
        1e-4 * np.polyfit(0.004 * (steps - 500), by_lammps, 1)[0] / 6, rel=0.5
    )


@pytest.mark.parametrize('trust', [None, {'limit': 1e3, 'rows': 3, 'high': 1e4, 'interval': 500, 'max_candidates': 1}])
def test_the_potentials_of_a_committee_drive_the_replicas(inputs, copper_committee, trust):
    """Liquid copper: each replica is integrated with its own potential, and the row knows how they differ."""
    potentials = {
        name: copper_committee.outputs.potentials[f'member_0{n}'] for n, name in enumerate(('potential', 'b'))
    }
    md = {**MD, 'timestep': 2.0, 'steps': 2000, 'trajectory_interval': 5, 'thermo_interval': 200}
    md |= {'equilibration': {'ensemble': 'nvt', 'steps': 500}}
    precision = {'relative_error': 0.005, 'maximum_steps': 4000}
    given = inputs(
        md=md, temperatures=[3500], replicas=2, extrapolate_to=None, trust=trust, precision=trust and precision
    )
    given |= {'potential': potentials['potential'], 'committee': {'b': potentials['b']}}
    given['structures'] = {'liquid': orm.StructureData(ase=bulk('Cu', a=3.85, cubic=True) * (2, 2, 2))}
    _, node = run_get_node(ConductivityWorkChain, **given)
    # Longer runs do not reach half a per cent: both potentials drive a second segment.
    assert node.exit_status == (EXIT.ERROR_IMPRECISE.status if trust else 0), node.exit_message
    segments = ('', '_s01') if trust else ('',)
    called = {link.link_label: link.node for link in node.base.links.get_outgoing(link_type=CALLS).all()}
    runs = {label: child for label, child in called.items() if label.startswith('md_')}
    names = ('md_0000{}_liquid_potential_3500K_r0', 'md_0001{}_liquid_b_3500K_r1')
    assert set(runs) == {name.format(segment) for name in names for segment in segments}
    for label, run in runs.items():
        driver, other = ('b', 'potential') if '_b_' in label else ('potential', 'b')
        [calculation] = [child for child in run.called if child.process_label == 'MDCalculation']
        script = calculation.base.repository.get_object_content(calculation.get_option('input_filename'))
        [line] = [line for line in script.splitlines() if line.startswith('pair_style')]
        first, *further = [word for word in line.split() if word.endswith('.pb')]
        folder = Path(calculation.outputs.remote_folder.get_remote_path())
        assert (folder / first).read_bytes() == potentials[driver].get_content('rb')
        assert [(folder / name).read_bytes() for name in further] == (
            [potentials[other].get_content('rb')] if trust else []
        )
    [row] = node.outputs.transport['temperatures']
    assert row['diffusive'], row['reason']
    assert (row['runs'], row['counts'], row['interval_of_potential_only']) == (2, ['thermal', 'model'], False)
    assert row['variance']['model'] >= 0
    values = {group['potential']: group['diffusivity_cm2_s'] for group in row['groups']}
    assert set(values) == set(potentials)
    assert row['error_cm2_s'] >= row['variance']['thermal'] * row['diffusivity_cm2_s'] * 0.999
    assert row['degrees_of_freedom'] == pytest.approx(1)
    assert ('trust' in node.outputs) is bool(trust)
    assert orphans(node) == []


def test_a_calculator_runs_through_the_same_chain(inputs):
    md = {**MD, 'equilibration': {'ensemble': 'nvt', 'steps': 10}}
    given = inputs(md=md, temperatures=[300], extrapolate_to=None)
    given.pop('potential')
    calculator = orm.Dict({'name': 'emt'})
    _, node = run_get_node(ConductivityWorkChain, **given, calculator=calculator, clean_workdir=orm.Bool(True))
    assert node.is_finished_ok, node.exit_message
    [row] = node.outputs.transport['temperatures']
    assert (row['runs'], row['verdict']) == (1, 'not diffusive')
    assert row['density_g_cm3'] == pytest.approx(8.94, abs=0.05)
    assert orphans(node) == []


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, 'calculator, potential'),
        ({'potential': None}, '`md`'),
        ({'potential': None, 'precision': {'relative_error': 0.1, 'maximum_steps': 200}}, '`precision`'),
    ],
)
def test_what_a_calculator_cannot_do_is_refused(inputs, changes, message):
    given = inputs(**{name: value for name, value in changes.items() if name != 'potential'})
    if 'potential' in changes:
        given.pop('potential')
    with pytest.raises(ValueError, match=message):
        run_get_node(ConductivityWorkChain, **given, calculator=orm.Dict({'name': 'emt'}))


def test_a_larger_cell_that_is_not_larger(inputs):
    size = {'supercell': [1, 1, 1], 'temperature': 300}
    _, node = run_get_node(ConductivityWorkChain, **inputs(finite_size=size))
    assert node.exit_status == EXIT.ERROR_STRUCTURES.status
    assert '`finite_size.supercell`' in node.exit_message


def test_fewer_replicas_than_potentials_are_refused(inputs, copper_committee):
    given = inputs() | {'committee': {'other': copper_committee.outputs.potentials['member_01']}}
    with pytest.raises(ValueError, match=r'`replicas` \(1\) should be at least 2'):
        run_get_node(ConductivityWorkChain, **given)


def test_configurations_of_different_size_are_refused(inputs, copper):
    double = orm.StructureData(ase=copper.get_ase() * (2, 1, 1))
    given = inputs()
    given['structures']['double'] = double
    _, node = run_get_node(ConductivityWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_STRUCTURES.status
    assert 'copper: Cu32, double: Cu64' in node.exit_message


def test_a_cell_that_cannot_be_repeated(inputs):
    _, node = run_get_node(ConductivityWorkChain, **inputs(supercell=[60, 60, 60]))
    assert node.exit_status == EXIT.ERROR_STRUCTURES.status


def test_all_runs_failed(inputs, localhost):
    broken = orm.InstalledCode(computer=localhost, filepath_executable='/bin/false', label='broken-lmp').store()
    given = inputs(temperatures=[300])
    given['codes']['lmp'] = broken
    outputs, node = run_get_node(ConductivityWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_NO_RUN_FINISHED.status
    [run] = [child for child in node.called if child.process_label == 'MDBaseWorkChain']
    assert run.exit_message in node.exit_message
    assert outputs == {}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'temperatures': [300, 0]}, '`temperatures.1`'),
        ({'replicas': 0}, '`replicas`'),
        ({'md': MD | {'temperature': 300}}, '`md.temperature`'),
        ({'md': MD | {'final_temperature': 900}}, '`md.final_temperature`'),
        ({'md': MD | {'trajectory_interval': None}}, '`md.trajectory_interval`'),
        ({'md': MD | {'steps': 0}}, '`steps`'),
        ({'transport': {'ion': 'Li'}}, r'structures\.copper: .*Li'),
        (
            {'precision': {'relative_error': 0.1, 'maximum_steps': 100}},
            r'`precision.maximum_steps` \(100\) .*`md.steps` \(60\)',
        ),
        (
            {'finite_size': {'supercell': [2, 2, 2], 'temperature': 450}},
            r'`finite_size.temperature` \(450\)',
        ),
        ({'md': {**MD, 'watch': {'deviation': {'limit': 1.0}}}}, '`md.watch.deviation`'),
        ({'extrapolate_to': -5}, '`extrapolate_to`'),
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
    with pytest.raises(ValueError, match=r'codes\.python: '):
        run_get_node(ConductivityWorkChain, **given)


def test_a_checkpoint_asks_for_the_code_that_freezes_it(inputs, tmp_path):
    model = {'type_map': ['Cu'], 'descriptor': {'type': 'se_e2_a', 'rcut': 6.0}, 'fitting_net': {'neuron': [8]}}
    given = inputs() | {'potential': DeepPotentialData.from_file(checkpoint(tmp_path / 'model.pt', model)).store()}
    with pytest.raises(ValueError, match=r'potential: .*`dp`'):
        run_get_node(ConductivityWorkChain, **given)


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_a_calculator_is_accepted_in_every_protocol(inputs, codes, copper, name):
    builder = ConductivityWorkChain.get_builder_from_protocol(
        {label: codes[label] for label in ConductivityWorkChain.CODES},
        protocol=name,
        overrides={'transport': {'ion': 'Cu'}},
        structures={'copper': copper},
        calculator=orm.Dict({'name': 'emt'}),
    )
    given = builder._inputs(prune=True)
    assert ConductivityWorkChain.spec().inputs.validate(given) is None
    assert builder.parameters['md']['equilibration']['ensemble'] == 'nvt'


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_protocols_are_complete(name):
    parameters = ConductivityParameters.model_validate(ConductivityWorkChain.protocol_parameters(name))
    assert len(parameters.temperatures) >= 3
    # One for each potential of a committee of three.
    assert parameters.replicas == 3
    assert parameters.md['steps'] // parameters.md['trajectory_interval'] >= 300
    if name == 'demo':
        assert parameters.md['steps'] * parameters.md['timestep'] == 60000
