"""The script, and what real LAMMPS makes of it: segments end where an undisturbed run ends, with its cell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.io.lammpsdata import read_lammps_data

from aiida_dpasse.deepmd.engine import lammps_commands
from aiida_dpasse.lammps.datafile import format_data_file
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.lammps.log import Log, parse_log
from aiida_dpasse.lammps.script import build_script, deviation_interval, restart_interval, total_steps
from aiida_dpasse.transport.tracks import Tracks

MASSES = {'Li': 6.94, 'P': 30.97, 'S': 32.06, 'Cl': 35.45}
ELEMENTS = ['Cl', 'Li', 'P', 'S']
KINDS = {element: (element, MASSES[element]) for element in ELEMENTS}
#: A pair of commands that stands for those of the engine (`tests/deepmd/test_engine.py`).
PAIR = ['pair_style one', 'pair_coeff * * two']
NVT = {'ensemble': 'nvt', 'temperature': 300.0, 'steps': 100, 'seed': 5}
NVT |= {'thermo_interval': 10, 'trajectory_interval': 10}
NPT = {**NVT, 'equilibration': {'ensemble': 'npt', 'steps': 200}, 'pressure': 1.0, 'restart_interval': 20}


@pytest.fixture
def run(programs, tiny_models, tiny_frames, tmp_path):
    """Return a runner of a script in its own folder; `previous` is the folder that it continues."""

    def go(name: str, text: str, previous: Path | None = None) -> tuple[Path, Log]:
        folder = tmp_path / name
        folder.mkdir()
        cell = tiny_frames.cells[0] @ [[1, 0.02, 0], [0, 1, 0.05], [0.03, 0, 1]]
        positions = tiny_frames.positions[0] / 7 @ cell
        data, _ = format_data_file(tiny_frames.symbols, cell, positions, KINDS)
        (folder / 'structure.data').write_text(data)
        (folder / 'input.in').write_text(text)
        if previous:
            (folder / 'previous').symlink_to(previous / 'restart')
        program = programs['lmp']
        command = [program.path, '-in', 'input.in', '-log', 'none']
        environment = os.environ | program.environment
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        (folder / 'lammps.out').write_text(result.stdout)
        return folder, parse_log(result.stdout)

    return go


@pytest.fixture
def script(tiny_models):
    """Return a maker of scripts with one of the tiny models."""

    def make(parameters, **options) -> str:
        pair = lammps_commands([str(tiny_models[0])], ELEMENTS, deviation_file='', deviation_interval=1)
        return build_script(parameters, pair, ELEMENTS, **options)

    return make


def test_lines_by_hand():
    text = build_script(NPT | {'timestep': 2.0}, PAIR, ELEMENTS, walltime_s=3725.5)
    assert 'structure.data\npair_style one\npair_coeff * * two\n' in text
    assert 'timestep 0.002\n' in text
    assert 'timer timeout 1:02:05 every 10\n' in text
    assert 'fix equilibration all npt temp 300 300 0.1 tri 10000 10000 1 flip no\n' in text
    assert 'fix production all nvt temp 300 300 0.1\n' in text
    assert 'run 200 upto' in text
    assert 'run 300 upto' in text
    assert 'velocity all create 300 5 mom yes rot no dist gaussian loop all\n' in text
    later = build_script(NPT, PAIR, ELEMENTS, continued=True)
    assert 'read_restart previous/md.*\n' in later
    assert 'velocity' not in later
    assert 'read_data' not in later
    assert 'out_file' not in later
    assert 'aniso 0 0' in build_script(NVT | {'ensemble': 'npt'}, PAIR, ELEMENTS, orthogonal=True)
    assert 'fix production all nve\n' in build_script(NVT | {'ensemble': 'nve'}, PAIR, ELEMENTS)


def test_a_heating_by_hand():
    heated = NPT | {'final_temperature': 900.0}
    text = build_script(heated, PAIR, ELEMENTS)
    # The equilibration is at the first temperature; the ramp covers the steps of all segments.
    assert 'fix equilibration all npt temp 300 300 0.1 tri' in text
    assert 'run 200 upto\n' in text
    assert 'fix production all nvt temp 300 900 0.1\n' in text
    assert 'run 300 upto start 200 stop 300\n' in text
    assert 'velocity all create 300 5' in text
    npt = build_script(heated | {'ensemble': 'npt', 'equilibration': None}, PAIR, ELEMENTS)
    assert 'fix production all npt temp 300 900 0.1 tri' in npt
    assert 'run 100 upto start 0 stop 100\n' in npt
    # The limit of heating refers to the higher temperature, also where the run cools.
    for first, last in ((300.0, 900.0), (900.0, 300.0)):
        watched = NVT | {'temperature': first, 'final_temperature': last, 'watch': {'heating': 0.5}}
        assert 'v_hotness > 1350 error' in build_script(watched, PAIR, ELEMENTS)


def test_what_is_not_watched_is_not_in_the_script():
    plain = build_script(NVT, PAIR, ELEMENTS)
    # But for lost atoms.
    assert [line for line in plain.splitlines() if 'halt' in line] == [
        'fix loss all halt 10 v_lost > 0.5 error soft message yes'
    ]
    assert build_script(NVT | {'watch': {'mobile': ['Li']}}, PAIR, ELEMENTS) == plain
    watch = {'mobile': ['Li'], 'framework_displacement': 2.0, 'heating': 0.5, 'energy_drift': 5.0}
    text = build_script(NVT | {'watch': watch}, PAIR, ELEMENTS)
    assert 'group framework type 1 3 4\n' in text
    assert 'fix melting all halt 10 v_framework_displacement > 2 error soft message yes\n' in text
    assert 'fix heating all halt 10 v_hotness > 450 error soft message yes\n' in text
    assert 'fix drift all halt 10 v_energy_drift > 5 error soft message yes\n' in text
    # Where every element is mobile there is no framework.
    everything = {'mobile': ELEMENTS, 'framework_displacement': 2.0}
    assert build_script(NVT | {'watch': everything}, PAIR, ELEMENTS) == plain


def test_the_framework_is_where_the_trajectory_says_it_is(run, script):
    """The displacement that LAMMPS watches, through a cell that changes, is that of `Tracks`, also in a segment."""
    watch = {'mobile': ['Li'], 'framework_displacement': 50.0, 'energy_drift': 1e6}
    watched = NPT | {'watch': watch, 'thermo_interval': 10}
    first, log = run('first', cut(script(watched), 300, 260))
    assert (log.error, log.last_step, log.stopped_by) == (None, 260, None)
    second, later = run('second', script(watched, continued=True), first)
    assert (later.error, later.last_step) == (None, 300)
    start = read_lammps_data(first / 'structure.data')
    symbols = start.get_chemical_symbols()
    sites = start.positions @ np.linalg.inv(start.cell.array)
    for folder, table in ((first, log.thermo), (second, later.thermo)):
        tracks = Tracks(symbols, [MASSES[symbol] for symbol in symbols], ['Li'], 1000, sites)
        for step, box, frame in DumpReader([folder / 'trajectory.lammpstrj']):
            tracks.add(step, box, frame)
        told = dict(zip(table['step'], table['framework_displacement_A'], strict=True))
        np.testing.assert_allclose([told[step] for step in tracks.steps], tracks.framework, rtol=1e-5)
        assert tracks.framework[-1] > 0.01
    # Both segments count from the energy with which production began.
    energies = [(folder / 'restart' / 'energy.lammps').read_text() for folder in (first, second)]
    assert energies[0] == energies[1]


@pytest.mark.parametrize(
    ('name', 'watch'),
    [
        ('melting', {'mobile': ['Li'], 'framework_displacement': 0.01}),
        ('heating', {'heating': 1e-6}),
        ('drift', {'energy_drift': 1e-9}),
    ],
)
def test_a_limit_stops_the_run_and_is_named(run, script, name, watch):
    folder, log = run('a', script(NVT | {'temperature': 30.0, 'watch': watch}))
    assert log.error is None
    assert log.stopped_by is not None
    found, step, value = log.stopped_by
    assert (found, step) == (name, log.last_step)
    assert value > 0
    assert step < 100
    assert [step for step, _, _ in DumpReader([folder / 'last.lammpstrj'])] == [step]


def test_intervals():
    assert total_steps(NPT) == (200, 300)
    assert total_steps(NVT) == (0, 100)
    assert restart_interval(NVT) == 100
    assert restart_interval(NVT | {'steps': 100_001}) == 5010
    assert restart_interval(NVT | {'restart_interval': 25}) == 30
    assert deviation_interval(NVT) == 10
    assert deviation_interval(NVT | {'sample_interval': 5}) == 5
    assert deviation_interval(NVT | {'sample_interval': 6, 'deviation_interval': 3}) == 3


def test_lammps_reads_the_cell_and_the_positions_that_were_written(run, script):
    folder, log = run('a', script(NVT | {'steps': 1, 'trajectory_interval': 1}))
    assert log.error is None
    written = read_lammps_data(folder / 'structure.data')
    step, box, first = next(iter(DumpReader([folder / 'trajectory.lammpstrj'])))
    assert step == 0
    np.testing.assert_allclose(box, written.cell.array, rtol=1e-14, atol=1e-13)
    np.testing.assert_allclose(first, written.positions, atol=1e-8)
    reader = DumpReader([folder / 'last.lammpstrj'])
    assert [step for step, _, _ in reader] == [1]
    assert list(reader.symbols) == written.get_chemical_symbols()


def cut(text: str, end: int, at: int) -> str:
    """The script of a segment that is stopped at a step of the stage that ends at ``end``."""
    assert f'run {end} upto' in text
    return text.replace(f'run {end} upto', f'run {at} upto')


@pytest.mark.parametrize('stops', [[(300, 240)], [(200, 40)], [(200, 150), (200, 180), (300, 250)]])
def test_segments_end_as_an_undisturbed_run(run, script, stops):
    whole, log = run('whole', script(NPT))
    assert (log.error, log.last_step) == (None, 300)
    folders: list[Path] = []
    for number, (end, at) in enumerate([*stops, (300, 300)]):
        text = cut(script(NPT, continued=bool(folders)), end, at)
        folder, log = run(f'segment_{number}', text, folders[-1] if folders else None)
        assert (log.error, log.last_step) == (None, at)
        folders.append(folder)
    dumps = [folder / 'trajectory.lammpstrj' for folder in folders]
    segments, undisturbed = list(DumpReader(dumps)), list(DumpReader([whole / 'trajectory.lammpstrj']))
    assert [step for step, _, _ in segments] == list(range(200, 301, 10)) == [step for step, _, _ in undisturbed]
    # The mean over the second half of the equilibration is carried across segments: only the step of a restart file,
    # which ends one segment and begins the next, counts twice.
    np.testing.assert_allclose(segments[0][1], undisturbed[0][1], atol=0.02)
    volumes = [np.linalg.det(cell) for _, cell, _ in segments]
    np.testing.assert_allclose(volumes, volumes[0], rtol=1e-12)
    if stops[0][0] == 300:
        np.testing.assert_array_equal(segments[0][1], undisturbed[0][1])
        np.testing.assert_allclose(segments[-1][2], undisturbed[-1][2], atol=1e-6)


def test_the_thermostat_follows_the_line_through_every_segment(run, script):
    """Its potential energy over its position is the kinetic energy that it asks for: 3(N-1) k T."""
    heated = NPT | {'temperature': 150.0, 'final_temperature': 1150.0, 'temperature_damping': 20.0}
    say = 'fix say all print 10 """TARGET $(step) $(f_production[1]:%.15g) $(f_production[7]:%.15g)"""\n'

    def asked(folder: Path) -> dict[int, float]:
        words = [line.split() for line in (folder / 'lammps.out').read_text().splitlines() if line.startswith('TARGET')]
        rows = {int(step): (float(place), float(energy)) for _, step, place, energy in words}
        # LAMMPS has a Boltzmann constant of its own in `units metal`.
        return {step: energy / place / (33 * 8.617343e-5) for step, (place, energy) in rows.items() if place}

    folders: list[Path] = []
    for number, at in enumerate((240, 270, 300)):
        text = cut(script(heated, continued=bool(folders)), 300, at).replace(f'run {at} upto', f'{say}run {at} upto')
        folder, log = run(f'segment_{number}', text, folders[-1] if folders else None)
        assert (log.error, log.last_step) == (None, at)
        folders.append(folder)
    found: dict[int, float] = {}
    for folder in folders:
        found |= asked(folder)
    steps = np.array(sorted(found))
    assert set(range(210, 301, 10)) <= set(steps)
    line = 150 + 1000 * (steps - 200) / 100
    np.testing.assert_allclose([found[step] for step in steps], line, rtol=1e-9)


def test_the_mean_cell_is_that_of_the_second_half(run, script):
    _, log = run('a', script(NPT | {'equilibration': {'ensemble': 'npt', 'steps': 60}, 'thermo_interval': 1}))
    rows = log.thermo['step']
    # Below a hundred steps the cell is sampled at each; the row of step 60 is that after the change of cell.
    sampled = log.thermo['lx_A'][(rows >= 30) & (rows < 60)]
    mean = log.thermo['lx_A'][rows == 60][0]
    assert abs(mean - sampled.mean()) <= np.ptp(sampled) / len(sampled) + np.abs(sampled[-1] - sampled.mean()) / 15


def test_the_clock_stops_the_run_and_the_next_segment_goes_on(run, script):
    long = NVT | {'steps': 10_000_000, 'thermo_interval': 1000, 'trajectory_interval': 1000}
    folder, log = run('first', script(long, walltime_s=2))
    assert log.timed_out
    assert log.error is None
    assert 0 < log.last_step < 10_000_000
    assert log.last_step % 10 == 0
    assert [step for step, _, _ in DumpReader([folder / 'last.lammpstrj'])] == [log.last_step]
    _, later = run('second', script(long, continued=True, walltime_s=1), folder)
    assert later.first_step == log.last_step
    assert later.last_step > log.last_step


def test_an_explosion_is_an_error_and_keeps_its_frames(run, script):
    wild = NVT | {'ensemble': 'nve', 'temperature': 1e8, 'timestep': 50.0, 'sample_interval': 1, 'steps': 200}
    folder, log = run('a', script(wild))
    assert log.exploded
    assert len(list(DumpReader([folder / 'samples.lammpstrj']))) >= 1
