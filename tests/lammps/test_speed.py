"""Rates, exponents and plateaus that are known exactly, and why a run has none."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from aiida_dpasse.lammps.log import parse_log
from aiida_dpasse.lammps.speed import (
    MACHINE_COMMAND,
    MACHINE_FILE,
    katom_steps_per_s,
    power_law,
    production_loop,
    rates,
    read_machine,
    saturation,
    why_no_speed,
)
from aiida_dpasse.lammps.watch import KEPT

LOG = """Setting up Verlet run ...
  Current step  : 0
Loop time of 1.83746 on 1 procs for 10 steps with 12 atoms
34.7% CPU use with 1 MPI tasks x 1 OpenMP threads
Setting up Verlet run ...
  Current step  : 10
Loop time of 0.125 on 2 procs for 20 steps with 12 atoms
99.5% CPU use with 2 MPI tasks x no OpenMP threads
"""
RESULTS = {
    'step': 30,
    'steps': 30,
    'production_start': 10,
    'error': None,
    'verdict': KEPT,
    'reason': None,
    'timed_out': False,
}


def test_the_warm_up_is_timed_separately():
    log = parse_log(LOG)
    warm_up, loop = log.loops
    assert (warm_up.first_step, warm_up.steps, warm_up.seconds, warm_up.cpu_percent) == (0, 10, 1.83746, 34.7)
    assert (loop.first_step, loop.steps, loop.atoms, loop.seconds) == (10, 20, 12, 0.125)
    assert (loop.processes, loop.threads, loop.cpu_percent) == (2, 1, 99.5)
    assert (log.steps, log.last_step) == (30, 30)
    results = RESULTS | {'loops': [vars(one) for one in log.loops]}
    assert production_loop(results) == vars(loop)
    for change in ({'verdict': 'exploded'}, {'production_start': 20}, {'steps': 40}, {'loops': []}):
        assert production_loop(results | change) is None


def test_threads_are_no_processes():
    """LAMMPS counts the threads of all processes as `procs`."""
    text = LOG.replace('2 MPI tasks x no OpenMP', '1 MPI tasks x 2 OpenMP')
    loop = parse_log(text).loops[-1]
    assert (loop.processes, loop.threads) == (1, 2)


def test_rates_follow_from_the_loop():
    assert rates(1000, 500, 20.0, 2.0) == pytest.approx(
        # 25 steps a second are 2,160,000 a day, of 2e-6 ns each.
        {'katom_step_s': 25.0, 'steps_s': 25.0, 'ns_day': 4.32, 'hours_million_steps': 4e4 / 3600}
    )
    assert katom_steps_per_s(1000 * 500, 20.0) == 25.0
    assert katom_steps_per_s(1000, 0.0) is None


def test_the_exponent_of_a_power_law_and_its_error():
    atoms = [50, 100, 400, 1000]
    exponent, error = power_law(atoms, [3e-4 * n**1.25 for n in atoms])
    assert exponent == pytest.approx(1.25)
    assert error == pytest.approx(0, abs=1e-7)
    assert power_law([10, 100], [1.0, 10.0]) == (pytest.approx(1.0), None)
    assert power_law([10], [1.0]) == power_law([], []) == power_law([10, 10], [1.0, 2.0]) == (None, None)


def test_the_error_of_the_exponent_is_what_chance_makes_of_it():
    rng, atoms = np.random.default_rng(1), np.array([50, 100, 200, 500, 1000, 2000])
    found = np.array([power_law(atoms, atoms * np.exp(rng.normal(0, 0.1, 6))) for _ in range(2000)])
    assert found[:, 0].mean() == pytest.approx(1, abs=0.005)
    assert np.sqrt((found[:, 1] ** 2).mean()) == pytest.approx(found[:, 0].std(), rel=0.05)


def test_large_cells_reach_a_speed_or_they_do_not():
    found = saturation([2000, 100, 500, 1000], [20.4, 8.0, 19.6, 20.0])
    assert (found['saturated_katom_step_s'], found['from_atoms']) == (pytest.approx(20.0), 500)
    assert found['saturated_error'] == pytest.approx(0.4 / 3**0.5)
    rising = saturation([100, 500, 1000], [5.0, 10.0, 15.0])
    assert rising['saturated_katom_step_s'] is None
    assert '+50%' in rising['reason']
    assert '500 to 1000' in rising['reason']
    # A card without memory enough is slower again: the speed of a small cell is not that of a large one.
    assert saturation([100, 500, 1000], [20.0, 20.0, 10.0])['saturated_katom_step_s'] is None
    similar = saturation([100, 120], [20.0, 20.0])
    assert similar['saturated_katom_step_s'] is similar['from_atoms'] is None
    assert '100 to 120 atoms' in similar['reason']
    assert saturation([], [])['saturated_katom_step_s'] is None


def test_why_a_run_has_no_speed():
    killed = 'W0000 noise\n_aiidasubmit.sh: line 20:  1234 Killed   lmp -in input.in\n\n'
    cut = RESULTS | {'verdict': 'incomplete', 'step': 0}
    assert 'exit code' in why_no_speed(None, '')
    assert 'step 0 of 30' in why_no_speed(cut, killed)
    assert '1234 Killed' in why_no_speed(cut, killed)
    memory = 'DeePMD-kit Error: CUDA out of memory'
    assert memory in why_no_speed(cut | {'error': memory}, killed)
    assert '`max_wallclock_seconds`' in why_no_speed(cut | {'timed_out': True}, '')
    exploded = RESULTS | {'verdict': 'exploded', 'reason': 'Lost atoms', 'step': 12}
    assert 'step 12 of 30 (Lost atoms)' in why_no_speed(exploded, killed)


def test_a_job_records_its_machine(tmp_path):
    subprocess.run(['bash', '-c', MACHINE_COMMAND], cwd=tmp_path, check=False)
    name = subprocess.run(['hostname'], capture_output=True, text=True, check=True).stdout.strip()
    assert read_machine((tmp_path / MACHINE_FILE).read_text())['host'] == name
    text = 'host: node7\nprocessor: Intel(R)  Xeon(R)\ncard: Tesla V100\ncard: Tesla V100\nuseless\n'
    assert read_machine(text) == {'host': 'node7', 'processor': 'Intel(R) Xeon(R)', 'card': '2 x Tesla V100'}
    assert read_machine('') == {'host': None, 'processor': None, 'card': None}
