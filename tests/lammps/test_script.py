"""The script, and what real LAMMPS makes of it: segments end where an undisturbed run ends, with its cell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aiida_dpasse.lammps.datafile import format_data_file, parse_data_file
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.lammps.log import Log, parse_log
from aiida_dpasse.lammps.script import build_script, deviation_interval, restart_interval, total_steps

MASSES = {'Li': 6.94, 'P': 30.97, 'S': 32.06, 'Cl': 35.45}
ELEMENTS = ['Cl', 'Li', 'P', 'S']
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
        data, _ = format_data_file(tiny_frames.symbols, cell, positions, ELEMENTS, MASSES)
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
        return build_script(parameters, [str(tiny_models[0])], ELEMENTS, **options)

    return make


def test_lines_by_hand():
    text = build_script(NPT | {'timestep': 2.0}, ['a.pb', 'b.pb'], ELEMENTS, walltime_s=3725.5)
    assert 'pair_style deepmd a.pb b.pb out_file model_devi.out out_freq 10\npair_coeff * * Cl Li P S\n' in text
    assert 'timestep 0.002\n' in text
    assert 'timer timeout 1:02:05 every 10\n' in text
    assert 'fix equilibration all npt temp 300 300 0.1 tri 10000 10000 1 flip no\n' in text
    assert 'fix production all nvt temp 300 300 0.1\n' in text
    assert 'run 200 upto' in text
    assert 'run 300 upto' in text
    assert 'velocity all create 300 5 mom yes rot no dist gaussian loop all\n' in text
    later = build_script(NPT, ['a.pth'], ELEMENTS, continued=True)
    assert 'read_restart previous/md.*\n' in later
    assert 'velocity' not in later
    assert 'read_data' not in later
    assert 'out_file' not in later
    assert 'aniso 0 0' in build_script(NVT | {'ensemble': 'npt'}, ['a.pb'], ELEMENTS, orthogonal=True)
    assert 'fix production all nve\n' in build_script(NVT | {'ensemble': 'nve'}, ['a.pb'], ELEMENTS)


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
    symbols, cell, positions = parse_data_file((folder / 'structure.data').read_text())
    step, box, first = next(iter(DumpReader([folder / 'trajectory.lammpstrj'])))
    assert step == 0
    np.testing.assert_allclose(box, cell, rtol=1e-14, atol=1e-13)
    np.testing.assert_allclose(first, positions, atol=1e-8)
    reader = DumpReader([folder / 'last.lammpstrj'])
    assert [step for step, _, _ in reader] == [1]
    assert list(reader.symbols) == symbols


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
