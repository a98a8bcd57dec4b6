"""Atoms that are held, in real LAMMPS with a pair potential whose energy is conserved to the last digits."""

from __future__ import annotations

import os
import subprocess
from itertools import product

import numpy as np
import pytest

from aiida_dpasse.lammps.datafile import format_data_file
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.lammps.fixed import ranges_of
from aiida_dpasse.lammps.log import Log, parse_log
from aiida_dpasse.lammps.script import build_script

BOLTZMANN = 8.617333e-5
ATOMS = 108
#: In no order, and not one after the other.
FIXED = [*range(50, 90), 3, 0, 100]
PAIR = ['pair_style lj/cut 5', 'pair_modify shift yes', 'pair_coeff 1 1 0.4 2.3']
NVT = {'ensemble': 'nvt', 'temperature': 300.0, 'steps': 20, 'thermo_interval': 10, 'seed': 7, 'fixed': FIXED}
SHEAR = np.array([[1.0, 0.05, 0.0], [0.0, 1.0, 0.1], [0.08, 0.0, 1.0]])


@pytest.fixture
def run(programs, tmp_path):
    """Return a runner of fcc copper: it gives the table, and the places (frames, atoms, 3) of the atoms."""

    def go(shear=None, previous=None, **changes) -> tuple[np.ndarray, Log]:
        corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
        sites = np.concatenate([corners + shift for shift in product(range(3), repeat=3)]) * 3.6 + 0.3
        turn = np.eye(3) if shear is None else shear
        folder = tmp_path / f'run_{len(list(tmp_path.iterdir()))}'
        folder.mkdir()
        data, _ = format_data_file(['Cu'] * ATOMS, 10.8 * turn, sites @ turn, {'Cu': ('Cu', 63.546)})
        (folder / 'structure.data').write_text(data)
        if previous:
            (folder / 'previous').symlink_to(tmp_path / previous / 'restart')
        text = build_script(NVT | changes, PAIR, ['Cu'], continued=bool(previous))
        (folder / 'input.in').write_text(text)
        program = programs['lmp']
        command = [program.path, '-in', 'input.in', '-log', 'none']
        environment = os.environ | program.environment
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        log = parse_log(result.stdout)
        assert log.error is None, log.error
        return np.array([frame for _, _, frame in DumpReader([folder / 'samples.lammpstrj'])]), log

    return go


def test_they_do_not_move_by_a_bit_and_the_others_have_the_temperature(run):
    places, log = run(steps=8000, sample_interval=100, equilibration={'ensemble': 'nvt', 'steps': 1000}, timestep=2.0)
    free = np.setdiff1d(np.arange(ATOMS), FIXED)
    assert (places[:, FIXED] == places[0, FIXED]).all()
    assert (np.ptp(places[:, free], axis=0) > 1e-2).all()
    table = log.thermo
    # Three degrees of freedom for each of those that move: what is held takes up momentum.
    temperature, start = table['temperature_K'], table['step'] >= 1000
    np.testing.assert_allclose(table['kinetic_energy_eV'], 1.5 * len(free) * BOLTZMANN * temperature, rtol=1e-5)
    assert temperature[0] == pytest.approx(300, rel=1e-9)
    # Were it the mean of all atoms that is held at 300 K, that of those that move would be 500 K.
    assert temperature[start].mean() == pytest.approx(300, abs=5)
    assert temperature[start].std() == pytest.approx(300 * np.sqrt(2 / (3 * len(free))), rel=0.25)
    conserved, total = (table[name][table['step'] > 1000] for name in ('conserved_energy_eV', 'total_energy_eV'))
    assert np.ptp(conserved) < 0.02 * np.ptp(total)


def test_energy_is_conserved_in_a_tilted_cell_though_momentum_is_not(run):
    """LAMMPS turns atoms of a tilted cell into fractions and back: what is held may differ in the last bit, no more."""
    places, log = run(SHEAR, ensemble='nve', steps=2000, sample_interval=50, temperature=600.0)
    assert np.ptp(places[:, FIXED], axis=0).max() < 1e-13
    table = log.thermo
    assert table['temperature_K'][-1] > 200
    assert np.ptp(table['total_energy_eV']) < 0.01 * np.ptp(table['potential_energy_eV'])


def test_a_second_segment_holds_the_same(run):
    whole, _ = run(steps=200, sample_interval=10, restart_interval=100)
    first, _ = run(steps=100, sample_interval=10, restart_interval=100)
    second, log = run(previous='run_1', steps=200, sample_interval=10, restart_interval=100)
    np.testing.assert_allclose(second[-1], whole[-1], atol=1e-8)
    assert (second[:, FIXED] == first[0, FIXED]).all()
    assert log.thermo['step'][0] == 100


def test_lines_by_hand():
    few = NVT | {'fixed': [7, 0, 1, 2, 10]}
    text = build_script(few, PAIR, ['Li'])
    assert 'group held id 1:3 8 11\ngroup moving subtract all held\n' in text
    assert 'compute_modify moving_temperature extra/dof 0\n' in text
    assert 'velocity moving create 300 7 mom no rot no dist gaussian loop all temp moving_temperature\n' in text
    assert 'fix production moving nvt temp 300 300 0.1\nfix_modify production temp moving_temperature\n' in text
    assert 'format float %.15g temp moving_temperature\n' in text
    free = build_script(few | {'fixed': None}, PAIR, ['Li'])
    assert 'moving' not in free
    assert 'held' not in free
    assert build_script(few | {'fixed': []}, PAIR, ['Li']) == free
    assert build_script(few | {'fixed': list(range(0, 60, 2))}, PAIR, ['Li']).count('group held id') == 3
    assert ranges_of([]) == []
    assert ranges_of([5]) == ['6']
    assert ranges_of([3, 2, 9, 8, 7]) == ['3:4', '8:10']
