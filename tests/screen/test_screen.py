"""Screening of structures: ranking, failures, resumption, molecular dynamics of the best, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from ase.build import bulk
from ase.io.cube import read_cube_data
from click.testing import CliRunner

from aiida_dpasse.cli.landscape import landscape
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.registry import outcome
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.screen.screen import ScreenWorkChain
from aiida_dpasse.screen.tabulate_screen import NOT_SCANNED, tabulate_screen, volume_per_anion

EXIT = ScreenWorkChain.exit_codes
PAIRS = {'name': 'lj', 'epsilon': 0.1, 'sigma': 2.3, 'rc': 5.0, 'smooth': True}
SCAN = {'spacing': 0.6, 'highest_level': 0.8}


def salt(lattice: float, cubic: bool = False) -> orm.StructureData:
    """Rock salt with a lattice constant in A: the larger, the freer its ions."""
    return orm.StructureData(ase=bulk('LiCl', 'rocksalt', a=lattice, cubic=cubic))


@pytest.fixture
def inputs(codes):
    """Inputs of a screening; keywords change its inputs."""

    def make(scan: dict | None = None, **changes) -> dict:
        given = {
            'codes': {'python': codes['python']},
            'structures': {'tight': salt(4.9, cubic=True), 'wide': salt(7.4), 'middle': salt(5.6)},
            'calculator': orm.Dict(PAIRS),
            'parameters': orm.Dict({'scan': SCAN | (scan or {})}),
        }
        return {name: value for name, value in {**given, **changes}.items() if value is not None}

    return make


def test_structures_are_ranked_and_a_stopped_screening_goes_on(inputs, tmp_path):
    """The widest is first. What was scanned before is taken from the cache, and a new structure is scanned."""
    few = inputs()
    few['structures'] = {name: few['structures'][name] for name in ('tight', 'wide')}
    _, first = run_get_node(ScreenWorkChain, **few)
    assert first.is_finished_ok, first.exit_message
    with enable_caching(identifier='aiida.calculations:dpasse.scan'):
        outputs, node = run_get_node(ScreenWorkChain, **inputs())
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == []
    jobs = [child for child in node.called_descendants if isinstance(child, orm.CalcJobNode)]
    assert sorted(job.base.caching.is_created_from_cache for job in jobs) == [False, True, True]
    rows = outputs['ranking']['rows']
    assert outputs['ranking']['failed'] == []
    assert [row['rank'] for row in rows] == [1, 2, 3]
    assert [row['structure'] for row in rows] == ['wide', 'middle', 'tight']
    xi = [row['xi'] for row in rows]
    assert xi == sorted(xi, reverse=True)
    assert rows[0]['fv_conn'] > 5 * rows[2]['fv_conn'] > 0
    assert rows[0]['percolation_3d_eV'] < 0.3
    assert rows[2]['percolation_3d_eV'] is None
    assert rows[0]['volume_per_anion_A3'] == pytest.approx(7.4**3 / 4)
    assert [(row['ions'], row['unrelated_ions']) for row in rows] == [(1, 1), (1, 1), (4, 1)]
    assert all(row['energies'] < row['energies_of_all_voxels'] for row in rows)
    assert outcome(node)[0].startswith('1. wide')
    assert 'above 0.8 eV' in outcome(node)[2]
    text = report_text(node)
    assert 'Ranking' in text
    written = write_report(node, tmp_path / 'screen')
    assert tmp_path / 'screen' / 'ranking.png' in written
    wide = next(job for job in jobs if job.outputs.results['xi'] == xi[0])
    assert tmp_path / 'scan' / 'landscape.png' in write_report(wide, tmp_path / 'scan')
    assert 'Free volumes' in report_text(wide)
    given = [str(wide.pk), '--cube', str(tmp_path / 'level.cube'), '--plot', str(tmp_path / 'level.png')]
    answer = CliRunner().invoke(landscape, [*given, '--energy-cube', str(tmp_path / 'energy.cube')])
    assert answer.exit_code == 0, answer.output
    assert 'percolation in three dimensions at' in answer.output
    levels, atoms = read_cube_data(str(tmp_path / 'level.cube'))
    energies, _ = read_cube_data(str(tmp_path / 'energy.cube'))
    assert (levels >= energies - 1e-6).all()
    assert levels.max() <= 0.8
    assert atoms.get_chemical_formula() == 'ClLi'
    assert (tmp_path / 'level.png').stat().st_size > 10_000
    assert 'has no landscape' in CliRunner().invoke(landscape, [str(node.pk)]).output


def test_a_structure_that_fails_is_in_the_account(inputs):
    """EMT knows copper and aluminium, and no lithium."""
    alloy = orm.StructureData(ase=bulk('Cu', cubic=True))
    given = inputs(calculator=orm.Dict({'name': 'emt'}), scan={'ion': 'Cu'})
    bad = bulk('CuAu', 'rocksalt', a=5.5)
    bad.symbols[1] = 'Br'
    given['structures'] = {'copper': alloy, 'bromide': orm.StructureData(ase=bad)}
    outputs, node = run_get_node(ScreenWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_INCOMPLETE.status
    assert '1 of 2' in node.exit_message
    assert 'bromide' in node.exit_message
    [row], [failed] = outputs['ranking']['rows'], outputs['ranking']['failed']
    assert (row['structure'], row['volume_per_anion_A3']) == ('copper', None)
    assert (failed['structure'], failed['reason']) == ('bromide', NOT_SCANNED)
    given['structures'].pop('copper')
    _, node = run_get_node(ScreenWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_NO_RUN_FINISHED.status


def test_the_best_are_simulated(inputs, codes):
    """One of two, at two temperatures, for a moment."""
    conductivity = {
        'temperatures': [400.0, 500.0],
        'replicas': 1,
        'supercell': [2, 2, 2],
        'md': {
            'ensemble': 'nvt',
            'timestep': 2.0,
            'steps': 60,
            'thermo_interval': 10,
            'trajectory_interval': 2,
            'equilibration': {'ensemble': 'nvt', 'steps': 5},
        },
        'transport': {'ion': 'Li', 'charge': 1.0},
        'seed': 1,
    }
    given = inputs(
        codes={name: codes[name] for name in ('lmp', 'python')},
        structures={'tight': salt(4.9), 'wide': salt(5.6)},
        parameters=orm.Dict({'scan': SCAN, 'top': 1, 'conductivity': conductivity}),
    )
    outputs, node = run_get_node(ScreenWorkChain, **given)
    assert node.is_finished, node.exception
    [called] = [child for child in node.called if child.process_label == 'ConductivityWorkChain']
    assert list(called.inputs.structures) == ['wide']
    # Dynamics of a tenth of a picosecond has no conductivity, and says so.
    [row] = outputs['conductivities']['rows']
    assert (row['structure'], row['rank'], row['conductivity_mS_cm']) == ('wide', 1, None)
    assert row['reason']


def test_ties_are_ranked_by_the_free_volumes(aiida_profile):
    """Of two with Xi = 1 the freer one is first, and one without a free volume is last."""
    planned = Runs(Run('scan', n, structure=f's{n}') for n in range(3))
    common = dict.fromkeys(
        ('percolation_1d_eV', 'percolation_2d_eV', 'percolation_3d_eV', 'mpe_eV', 'highest_level_eV')
    ) | dict.fromkeys(
        ('atoms', 'ions', 'scanned_ions', 'unrelated_ions', 'energies', 'energies_of_all_voxels', 'cpu_s'), 1
    )
    volumes = [(1.0, 0.2, 0.3), (0.0, 0.0, 0.0), (1.0, 0.3, 0.3)]
    results = {
        key: orm.Dict(common | {'xi': xi, 'fv_conn': conn, 'fv_disc': disc})
        for key, (xi, conn, disc) in zip(planned, volumes, strict=True)
    }
    structures = {f's{n}': salt(5.0) for n in range(3)}
    table = tabulate_screen(orm.Dict(planned.to_dict()), structures=structures, results=results)
    assert [row['structure'] for row in table['rows']] == ['s2', 's0', 's1']


def test_the_volume_per_anion():
    """Of the anions in the usual sense; hydrogen counts where there is no other."""
    assert volume_per_anion(salt(5.0)) == pytest.approx(125 / 4)
    hydride = orm.StructureData(ase=bulk('LiH', 'rocksalt', a=4.0))
    assert volume_per_anion(hydride) == pytest.approx(16.0)
    assert volume_per_anion(orm.StructureData(cell=np.eye(3) * 3)) is None


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'calculator': None}, 'neither is given'),
        ({'structures': {}}, 'structures: '),
        ({'scan': {'ion': 'Na'}}, r'structures\.\w+: it holds no Na'),
        ({'scan': {'spacing': 9.0}}, r'`scan\.spacing`'),
        ({'calculator': {'name': 'nobody:Calculator'}}, 'nobody'),
    ],
)
def test_what_cannot_be_screened_is_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(ScreenWorkChain, **inputs(**changes))


def test_dynamics_that_cannot_run_is_refused(inputs, codes):
    """Without LAMMPS' code, with another ion, and with an ensemble that a calculator does not have."""
    own = ScreenWorkChain.protocol_parameters('demo', {'conductivity': {}})
    with pytest.raises(ValueError, match=r'codes\.lmp'):
        run_get_node(ScreenWorkChain, **inputs(parameters=orm.Dict(own)))
    both = {name: codes[name] for name in ('lmp', 'python')}
    own['conductivity']['md']['ensemble'] = 'npt'
    with pytest.raises(ValueError, match=r'parameters: `conductivity\.md`'):
        run_get_node(ScreenWorkChain, **inputs(codes=both, parameters=orm.Dict(own)))
    own['conductivity']['transport']['ion'] = 'Cl'
    with pytest.raises(ValueError, match=r'`conductivity\.transport\.ion` \(Cl\)'):
        run_get_node(ScreenWorkChain, **inputs(codes=both, parameters=orm.Dict(own)))
