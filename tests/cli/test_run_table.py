"""Runs at several temperatures, from a table to the Arrhenius plot."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.cli.run_table import run_table
from aiida_dpasse.cli.trajectory import Source
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV

BOX, JUMP, ENERGY = 15.0, 2.5, 0.1
TEMPERATURES = (500, 600, 800)


def rate(temperature):
    """Return the probability of a jump in one frame."""
    return 1.5 * np.exp(-ENERGY / (BOLTZMANN_EV * temperature))


def write_walk(path, temperature, frames=400, ions=20):
    """Write a lattice walk of lithium beside resting sulphur."""
    rng = np.random.default_rng(temperature)
    jumps = rng.random((frames, ions)) < rate(temperature)
    steps = np.zeros((frames, ions, 3))
    axis = rng.integers(3, size=(frames, ions))
    np.put_along_axis(steps, axis[..., None], (jumps * rng.choice([-JUMP, JUMP], size=jumps.shape))[..., None], axis=2)
    lithium = np.cumsum(steps, axis=0) + rng.random((ions, 3)) * BOX
    sulphur = rng.random((4, 3)) * BOX
    write(
        path,
        [Atoms(['Li'] * ions + ['S'] * 4, np.vstack([each, sulphur]), cell=[BOX] * 3, pbc=True) for each in lithium],
    )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('runs')
    for temperature in TEMPERATURES:
        write_walk(path / f'{temperature}.extxyz', temperature)
    return path


def analyse(folder, text, **options):
    """Analyse a table of runs."""
    (folder / 'runs.csv').write_text(text)
    run_table(folder / 'runs.csv', Source((folder,), 100.0, wrapped=False), {'Li': 1.0}, **options)


def test_a_table_of_runs_gives_the_activation_energy(folder, capsys):
    text = 'file,temperature_K,timestep_fs\n' + ''.join(f'{t}.extxyz,{t},\n' for t in TEMPERATURES)
    analyse(folder, text, json_path=folder / 'a.json', plot_path=folder / 'a.png')
    answer = json.loads((folder / 'a.json').read_text())
    assert [run['temperature_K'] for run in answer['runs']] == list(TEMPERATURES)
    for run in answer['runs']:
        truth = rate(run['temperature_K']) * JUMP**2 / (6 * 0.1) * 1e-4
        assert abs(run['tracer_diffusivity_cm2_s'] - truth) < 4 * run['tracer_diffusivity_cm2_s_error']
    assert abs(answer['activation_energy_eV'] - ENERGY) < 3 * answer['activation_energy_error_eV']
    assert answer['conductivity']['activation_energy_eV'] == pytest.approx(answer['activation_energy_eV'], abs=0.05)
    assert (folder / 'a.png').read_bytes().startswith(b'\x89PNG')
    assert '800.extxyz' in capsys.readouterr().out


def test_too_few_temperatures_keep_the_runs(folder):
    text = 'file;temperature_K;timestep_fs\n500.extxyz;500;200\n600.extxyz;600;\n'
    with pytest.raises(Refusal, match='2 temperatures'):
        analyse(folder, text, json_path=folder / 'b.json')
    runs = json.loads((folder / 'b.json').read_text())['runs']
    assert [run['interval_ps'] for run in runs] == pytest.approx([0.2, 0.1])


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('file,temperature_K\nabsent,500\n', 'absent'),
        ('file\na\n', 'temperature_K'),
        ('temperature_K,timestep_fs\n500,1\n', 'file'),
        ('file,temperature_K,pressure\na,1,1\n', 'pressure'),
        ('file,temperature_K\na,-5\n', '-5'),
        ('file,temperature_K,timestep_fs\na,500,x\n', 'timestep_fs'),
    ],
)
def test_bad_tables_are_refused(folder, text, named):
    with pytest.raises(Refusal, match=named):
        analyse(folder, text)
