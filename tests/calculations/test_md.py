"""Molecular dynamics with real potentials in real LAMMPS: what comes home, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.calculations.md import MDCalculation
from aiida_dpasse.calculations.md_stops import DEVIATION, STOPS
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.lammps.datafile import lammps_frame
from aiida_dpasse.lammps.watch import KEPT
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.parameters.md import MDParameters

EXIT = MDCalculation.exit_codes
NVT = {'ensemble': 'nvt', 'temperature': 300.0, 'steps': 20, 'thermo_interval': 5, 'seed': 7}


@pytest.fixture(scope='session')
def tilted(aiida_profile, tiny_frames) -> orm.StructureData:
    """The tiny crystal turned out of LAMMPS' frame and sheared, its elements in no order."""
    shear = np.array([[1.0, 0.05, 0.0], [0.0, 1.0, 0.1], [0.08, 0.0, 1.0]])
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    structure = orm.StructureData(cell=(tiny_frames.cells[0] @ shear @ turn).tolist())
    positions = tiny_frames.positions[0] @ shear @ turn
    for index in np.random.default_rng(3).permutation(tiny_frames.natoms):
        structure.append_atom(symbols=tiny_frames.symbols[index], position=positions[index].tolist())
    return structure.store()


@pytest.fixture
def inputs(lmp_code, tilted, tiny_potentials):
    """Inputs of a run; keywords change its parameters."""

    def make(members: int = 1, **changes) -> dict:
        return {
            'code': lmp_code,
            'structure': tilted,
            'potentials': dict(list(tiny_potentials.items())[:members]),
            'parameters': orm.Dict(NVT | changes),
        }

    return make


def test_nvt_brings_frames_in_the_input_orientation(inputs, tilted):
    outputs, node = run_get_node(MDCalculation, **inputs(sample_interval=5, trajectory_interval=10))
    assert node.is_finished_ok, node.exit_message
    [frames] = outputs['frames'].sets()
    assert frames.steps.tolist() == [0, 5, 10, 15, 20]
    assert np.isnan(frames.deviations).all()
    assert not frames.labelled
    order = np.argsort([site.kind_name for site in tilted.sites], kind='stable')
    start = np.array([site.position for site in tilted.sites])[order]
    np.testing.assert_allclose(frames.positions[0], start, atol=1e-10)
    np.testing.assert_allclose(frames.cells, np.broadcast_to(tilted.cell, (5, 3, 3)), atol=1e-12)
    last = outputs['structure']
    assert [site.kind_name for site in last.sites] == [site.kind_name for site in tilted.sites]
    moved = np.array([site.position for site in last.sites])[order]
    np.testing.assert_allclose(moved, frames.positions[-1], atol=1e-10)
    assert 0.01 < np.abs(moved - start).max() < 1.0
    results = outputs['results'].get_dict()
    assert (results['step'], results['steps'], results['production_start'], results['frames']) == (20, 20, 0, 5)
    assert results['katom_steps_per_s'] > 0.1
    assert results['temperature_mean_K'] > 50
    assert outputs['thermo'].get_array('step').tolist() == [0, 5, 10, 15, 20]
    assert outputs['thermo'].get_array('temperature_K')[0] == pytest.approx(300)
    assert 'deviation' not in outputs
    names = set(outputs['remote_folder'].listdir())
    assert {'trajectory.lammpstrj', 'restart'} <= names


def test_sites_of_the_structure_are_held(inputs, tilted):
    held = [7, 0, 1, 10]
    outputs, node = run_get_node(MDCalculation, **inputs(sample_interval=10, fixed=held))
    assert node.is_finished_ok, node.exit_message
    [frames] = outputs['frames'].sets()
    order = np.argsort([site.kind_name for site in tilted.sites], kind='stable')
    moved = np.ptp(frames.positions, axis=0).max(axis=1)[np.argsort(order)]
    # LAMMPS turns atoms of a tilted cell into fractions and back: the last bit may differ.
    assert moved[held].max() < 1e-13
    assert np.delete(moved, held).min() > 1e-3
    assert outputs['thermo'].get_array('temperature_K')[0] == pytest.approx(300, rel=1e-9)
    with pytest.raises(ValueError, match='parameters: `fixed`'):
        run_get_node(MDCalculation, **inputs(fixed=list(range(12))))


def test_the_same_seed_gives_the_same_frames_and_another_does_not(inputs):
    runs = [run_get_node(MDCalculation, **inputs(sample_interval=20, seed=seed))[0]['frames'] for seed in (7, 7, 8)]
    assert runs[0].ids() == runs[1].ids()
    assert not set(runs[0].ids()[1:]) & set(runs[2].ids())


def test_a_committee_gives_the_deviation_of_every_frame(inputs):
    outputs, node = run_get_node(MDCalculation, **inputs(members=2, sample_interval=10, deviation_interval=5))
    assert node.is_finished_ok, node.exit_message
    deviation = outputs['deviation']
    assert deviation.get_array('step').tolist() == [0, 5, 10, 15, 20]
    [frames] = outputs['frames'].sets()
    assert frames.steps.tolist() == [0, 10, 20]
    np.testing.assert_array_equal(frames.deviations, deviation.get_array('max_devi_f')[::2])
    assert (frames.deviations > 0).all()


def test_npt_equilibration_hands_its_mean_cell_to_production(inputs, tilted):
    changes = {'equilibration': {'ensemble': 'npt', 'steps': 100}, 'thermo_interval': 10, 'sample_interval': 10}
    outputs, node = run_get_node(MDCalculation, **inputs(pressure=1.0, pressure_damping=200.0, **changes))
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert (results['step'], results['production_start']) == (120, 100)
    thermo = outputs['thermo']
    steps, volume = thermo.get_array('step'), thermo.get_array('volume_A3')
    assert steps.tolist() == list(range(0, 121, 10))
    # Rows of the second half of the equilibration but its last, whose step is printed again after the change of cell.
    lengths = thermo.get_array('lx_A')
    mean = lengths[steps == 100][0]
    assert lengths[(steps >= 50) & (steps < 100)].min() <= mean <= lengths[(steps >= 50) & (steps < 100)].max()
    assert np.ptp(volume[steps < 100]) > 0.1
    np.testing.assert_allclose(volume[steps >= 100], volume[-1], rtol=1e-12)
    mass = sum(tilted.get_kind(site.kind_name).mass for site in tilted.sites)
    assert results['density_g_cm3'] == pytest.approx(1.66054 * mass / volume[-1], rel=1e-4)
    assert results['density_drift_error'] > 0
    assert isinstance(results['equilibrated'], bool)
    [frames] = outputs['frames'].sets()
    assert frames.steps.tolist() == [100, 110, 120]
    np.testing.assert_allclose(np.linalg.det(frames.cells), volume[-1], rtol=1e-10)
    # The mean cell is turned back, not left in LAMMPS' frame.
    np.testing.assert_allclose(lammps_frame(frames.cells[0])[1], lammps_frame(tilted.cell)[1], atol=1e-10)


def test_an_explosion_keeps_the_frames_before_it(inputs):
    changes = {'ensemble': 'nve', 'temperature': 1e5, 'timestep': 1000.0, 'steps': 200, 'sample_interval': 1}
    outputs, node = run_get_node(MDCalculation, **inputs(**changes))
    assert node.exit_status == EXIT.ERROR_EXPLODED.status
    assert outputs['frames'].frames >= 1
    assert outputs['results']['step'] < 200
    assert 'structure' not in outputs


def test_a_run_that_lost_atoms_before_it_was_stopped_keeps_its_frames(inputs):
    """The halt looks every ten steps, the table of LAMMPS, which misses atoms, every thousand."""
    watch = {'mobile': ['Li'], 'framework_displacement': 2.5}
    wild = {'temperature': 1e5, 'timestep': 158.0, 'steps': 2000, 'thermo_interval': 1000, 'sample_interval': 1}
    outputs, node = run_get_node(MDCalculation, **inputs(**wild, watch=watch))
    assert node.exit_status in range(410, 414), node.exit_message
    assert outputs['frames'].frames >= 1
    assert outputs['results']['frames_dropped'] > 0
    assert 'structure' not in outputs


def test_kinds_of_one_element_keep_their_masses(inputs, tilted):
    """Half of the lithium is ten times as heavy as the other half: it starts that much slower."""
    structure = orm.StructureData(cell=tilted.cell)
    light = True
    for site in tilted.sites:
        symbol = site.kind_name
        if symbol == 'Li':
            name, mass = ('Li6', 6.015) if light else ('Li60', 60.0)
            structure.append_atom(symbols='Li', name=name, mass=mass, position=site.position)
            light = not light
        else:
            structure.append_atom(symbols=symbol, position=site.position)
    given = inputs(ensemble='nve', steps=1, timestep=0.1, sample_interval=1, thermo_interval=1)
    outputs, node = run_get_node(MDCalculation, **given | {'structure': structure})
    assert node.is_finished_ok, node.exit_message
    content = node.base.repository.get_object_content('structure.data')
    assert '5 atom types' in content
    assert [line.split(' ', 1)[1] for line in content.splitlines() if line.endswith('# Li')] == [
        '6.015 # Li',
        '60.0 # Li',
    ]
    assert 'pair_coeff * * Cl Li Li P S' in node.base.repository.get_object_content(node.get_option('input_filename'))
    # Twice the kinetic energy from the masses and the way of one short step is that of LAMMPS.
    moved = np.array([site.position for site in outputs['structure'].sites])
    start = np.array([site.position for site in structure.sites])
    masses = np.array([structure.get_kind(site.kind_name).mass for site in structure.sites])
    kinetic = 0.5 * np.sum(masses[:, None] * ((moved - start) / 0.1) ** 2) * 103.642696
    assert kinetic == pytest.approx(outputs['thermo'].get_array('kinetic_energy_eV')[0], rel=0.02)
    assert outputs['results']['mass_u'] == pytest.approx(masses.sum())


def test_a_force_that_is_too_large_stops_the_run(inputs):
    undisturbed, _ = run_get_node(MDCalculation, **inputs(steps=40, sample_interval=5))
    outputs, node = run_get_node(MDCalculation, **inputs(steps=40, sample_interval=5, stop_force=1e-3))
    assert node.exit_status == EXIT.ERROR_EXPLODED.status
    assert outputs['results']['step'] in (0, 10)
    assert f'after step {outputs["results"]["step"]} (' in node.exit_message
    # The frames before are those of a run that is not stopped, and a limit that is not reached changes nothing.
    assert outputs['frames'].ids() == undisturbed['frames'].ids()[: outputs['frames'].frames]
    free, node = run_get_node(MDCalculation, **inputs(steps=40, sample_interval=5, stop_force=1e6))
    assert node.is_finished_ok, node.exit_message
    assert free['frames'].ids() == undisturbed['frames'].ids()


@pytest.mark.parametrize(
    ('watch', 'label', 'verdict', 'what'),
    [
        ({'mobile': ['Li'], 'framework_displacement': 0.01}, 'ERROR_MELTED', 'melted', '0.01 A'),
        ({'heating': 1e-6}, 'ERROR_HEATED', 'heated up', '300 K'),
        ({'energy_drift': 1e-9}, 'ERROR_ENERGY_DRIFT', 'energy drifts', 'meV/(atom ps)'),
    ],
)
def test_a_limit_that_is_crossed_stops_the_run(inputs, watch, label, verdict, what):
    changes = {'equilibration': {'ensemble': 'nvt', 'steps': 20}} if label == 'ERROR_ENERGY_DRIFT' else {}
    outputs, node = run_get_node(MDCalculation, **inputs(steps=400, sample_interval=5, watch=watch, **changes))
    assert node.exit_status == EXIT[label].status, node.exit_message
    results = outputs['results'].get_dict()
    assert results['verdict'] == verdict
    assert what in results['reason']
    assert f'by step {results["stopped_at"]} (' in node.exit_message
    assert results['stopped_at'] == results['step'] < 420
    # What came before is there, the state from which it could be carried on too.
    assert outputs['frames'].frames >= 1
    assert 'structure' in outputs


def test_limits_that_are_kept_change_nothing(inputs):
    plain, _ = run_get_node(MDCalculation, **inputs(sample_interval=10))
    watch = {'mobile': ['Li'], 'framework_displacement': 10.0, 'heating': 100.0, 'energy_drift': 1e9}
    watched, node = run_get_node(MDCalculation, **inputs(sample_interval=10, watch=watch))
    assert node.is_finished_ok, node.exit_message
    # A run of no steps before the production may fold an atom into the cell and back: the last bit differs.
    [one], [other] = watched['frames'].sets(), plain['frames'].sets()
    np.testing.assert_allclose(one.positions, other.positions, atol=1e-9)
    assert watched['results']['verdict'] == KEPT
    assert watched['results']['energy_drift_meV_atom_ps'] is not None
    assert (watched['thermo'].get_array('framework_displacement_A')[1:] > 0).all()


def test_a_run_that_leaves_the_trust_is_stopped_while_it_runs(inputs):
    """Ten million steps would take hours: the engine's monitor ends it, and the parser says why."""
    watch = {'deviation': {'limit': 1e-6, 'rows': 2}}
    given = inputs(members=2, steps=10_000_000, sample_interval=20, thermo_interval=1000, watch=watch)
    given['monitors'] = {'untrusted': orm.Dict({'entry_point': 'dpasse.untrusted'})}
    outputs, node = run_get_node(MDCalculation, **given)
    assert node.exit_status == EXIT.ERROR_LEFT_TRUST.status, node.exit_message
    assert 'step 0 ' in node.exit_message
    assert '1e-06 eV/A' in node.exit_message
    results = outputs['results'].get_dict()
    assert (results['verdict'], results['stopped_at']) == (STOPS[DEVIATION].verdict, 0)
    assert results['step'] < 10_000_000
    assert (np.concatenate([item.deviations for item in outputs['frames'].sets()])[:2] > 1e-6).all()


def test_a_relative_deviation_is_divided_by_the_force(inputs):
    plain, _ = run_get_node(MDCalculation, **inputs(members=2, steps=1, sample_interval=1))
    relative, node = run_get_node(
        MDCalculation, **inputs(members=2, steps=1, sample_interval=1, relative_deviation=1e6)
    )
    assert node.is_finished_ok, node.exit_message
    # Beside so large a level no force counts: the deviation is divided by the level.
    [first], [second] = plain['frames'].sets(), relative['frames'].sets()
    np.testing.assert_allclose(second.deviations * 1e6, first.deviations, rtol=1e-3)


def test_a_lammps_error_is_reported(inputs):
    # A trajectory cannot be carried on from a folder that holds no restart file.
    folder = orm.RemoteData(remote_path='/nowhere', computer=inputs()['code'].computer)
    _, node = run_get_node(MDCalculation, **inputs(), restart_folder=folder)
    assert node.exit_status == EXIT.ERROR_LAMMPS_FAILED.status
    assert '`restart_folder`' in node.exit_message


def test_torch_runs_by_the_same_script(inputs, tiny_torch_model):
    given = inputs(sample_interval=20)
    given['potentials'] = {'torch': DeepPotentialData.from_file(tiny_torch_model)}
    outputs, node = run_get_node(MDCalculation, **given)
    assert node.is_finished_ok, node.exit_message
    assert outputs['frames'].frames == 2


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'temperature': 0}, '`temperature`'),
        ({'temperature': -5.0}, '`temperature`'),
        ({'pressure': -1.0}, '`pressure`'),
        ({'seed': 0}, '`seed`'),
        ({'sample_interval': 7, 'deviation_interval': 5}, '`deviation_interval`'),
        ({'equilibration': {'ensemble': 'npt', 'steps': 0}}, '`equilibration.steps`'),
        ({'stepps': 3}, '`stepps`'),
        ({'final_temperature': 0}, '`final_temperature`'),
        ({'final_temperature': 900, 'ensemble': 'nve'}, '`final_temperature`'),
        ({'final_temperature': 900, 'watch': {'energy_drift': 5}}, '`watch.energy_drift`'),
        ({'watch': {'heating': 0}}, '`watch.heating`'),
        ({'watch': {'deviation': {'limit': 2.0, 'high': 1.0}}}, '`limit`'),
    ],
)
def test_wrong_parameters_are_named(changes, message):
    assert message in (check_parameters(MDParameters, NVT | changes) or '')


def refused(given: dict) -> str:
    """Return why the inputs are refused before anything is submitted."""
    with pytest.raises(ValueError, match=r'\w') as caught:
        run_get_node(MDCalculation, **given)
    return str(caught.value)


def test_an_element_outside_the_type_map_is_refused(inputs):
    structure = orm.StructureData(cell=np.eye(3).tolist())
    structure.append_atom(symbols='Br', position=(0, 0, 0))
    assert ' Br ' in refused(inputs() | {'structure': structure})


def test_partial_occupancies_are_refused(inputs):
    structure = orm.StructureData(cell=(np.eye(3) * 5).tolist())
    structure.append_atom(symbols=['Li', 'S'], weights=[0.5, 0.5], position=(0, 0, 0), name='mixed')
    assert 'partial occupancies' in refused(inputs() | {'structure': structure})


def test_a_left_handed_or_open_cell_is_refused(inputs):
    structure = orm.StructureData(cell=np.diag([5.0, 5.0, -5.0]).tolist())
    structure.append_atom(symbols='Li', position=(0, 0, 0))
    assert 'left-handed' in refused(inputs() | {'structure': structure})
    slab = orm.StructureData(cell=(np.eye(3) * 5).tolist(), pbc=(True, True, False))
    slab.append_atom(symbols='Li', position=(0, 0, 0))
    assert 'not periodic' in refused(inputs() | {'structure': slab})


def test_a_committee_of_one_has_no_deviation(inputs):
    assert 'potentials: `deviation_interval`' in refused(inputs(deviation_interval=5))
    assert 'potentials: `watch.deviation`' in refused(inputs(watch={'deviation': {'limit': 0.3}}))
    assert 'potentials: ' in refused(inputs() | {'potentials': {}})


def test_a_restart_on_another_computer_is_refused(inputs):
    other = orm.Computer(
        label='cluster-of-others',
        hostname='elsewhere',
        workdir='/elsewhere',
        transport_type='core.local',
        scheduler_type='core.direct',
    ).store()
    folder = orm.RemoteData(remote_path='/elsewhere', computer=other)
    assert 'on cluster-of-others' in refused(inputs() | {'restart_folder': folder})
