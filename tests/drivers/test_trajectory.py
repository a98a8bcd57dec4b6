"""Dynamics with an ASE calculator: what it leaves is what LAMMPS would leave, and its limits stop it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk

from aiida_dpasse.drivers import trajectory
from aiida_dpasse.lammps.datafile import lammps_frame
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.transport.tracks import Tracks

NVT = {'ensemble': 'nvt', 'temperature': 300.0, 'timestep': 2.0, 'steps': 60, 'thermo_interval': 10, 'seed': 4}
NVT |= {'trajectory_interval': 20, 'equilibration': {'ensemble': 'nvt', 'steps': 20}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a runner of the driver on eight atoms of a tilted Cu-Au alloy; keywords change its parameters."""
    monkeypatch.chdir(tmp_path)

    def go(calculator=None, **changes):
        atoms = bulk('Cu', cubic=True, a=3.8) * (2, 1, 1)
        atoms.symbols[[0, 3, 4]] = 'Au'
        atoms.set_cell(atoms.cell.array @ [[1, 0.1, 0], [0, 1, 0.05], [0.02, 0, 1]], scale_atoms=True)
        cell, rotation = lammps_frame(atoms.cell.array)
        job = {
            'calculator': calculator or {'name': 'emt'},
            'parameters': MDParameters.model_validate(NVT | changes).model_dump(),
            'symbols': list(atoms.symbols),
            'masses': atoms.get_masses().tolist(),
            'cell': cell.tolist(),
            'positions': (atoms.get_positions() @ rotation).tolist(),
        }
        (tmp_path / 'job.json').write_text(json.dumps(job))
        assert trajectory.main(['job.json']) == 0
        result = json.loads((tmp_path / 'output.json').read_text())
        table = {} if result['error'] else dict(np.load(tmp_path / 'output' / trajectory.THERMO))
        return job, result, table

    return go


def test_the_trajectory_is_that_of_lammps(run, tmp_path):
    job, result, table = run()
    assert (result['step'], result['stopped']) == (80, None)
    assert table['step'].tolist() == list(range(0, 81, 10))
    assert table['temperature_K'][0] == pytest.approx(300)
    frames = list(DumpReader([tmp_path / trajectory.TRAJECTORY]))
    assert [step for step, _, _ in frames] == [20, 40, 60, 80]
    for _, cell, _ in frames:
        np.testing.assert_allclose(cell, job['cell'], atol=1e-12)
    # Nothing drifts as a whole.
    last = np.load(tmp_path / 'output' / trajectory.LAST)['positions']
    np.testing.assert_allclose(frames[-1][2], last, atol=1e-8)
    moved = np.array(job['masses']) @ (last - job['positions'])
    np.testing.assert_allclose(moved, 0, atol=1e-8)


def test_the_same_seed_gives_the_same_run(run, tmp_path):
    texts = []
    for seed in (4, 4, 5):
        run(seed=seed)
        texts.append((tmp_path / trajectory.TRAJECTORY).read_text())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize('ensemble', ['nve', 'nvt'])
def test_the_conserved_energy_is_conserved(run, ensemble):
    _, _, table = run(ensemble=ensemble, steps=200)
    conserved = table['conserved_energy_eV']
    total = table['potential_energy_eV'] + table['kinetic_energy_eV']
    # The thermostat moves energy in and out, over both stages; what is left is the error of the timestep.
    assert np.ptp(total) > 0.02
    assert np.ptp(conserved) < 0.01


@pytest.mark.parametrize(
    ('name', 'watch'),
    [
        ('melting', {'mobile': ['Cu'], 'framework_displacement': 0.02}),
        ('heating', {'heating': 1e-6}),
        ('drift', {'energy_drift': 1e-9}),
    ],
)
def test_a_limit_stops_the_run(run, tmp_path, name, watch):
    job, result, table = run(watch=watch, steps=500)
    found, step, value = result['stopped']
    assert found == name
    assert value > 0
    assert step == result['step'] < 520
    if name == 'melting':
        sites = np.array(job['positions']) @ np.linalg.inv(job['cell'])
        tracks = Tracks(job['symbols'], job['masses'], ['Cu'], 100, sites)
        for at, cell, positions in DumpReader([tmp_path / trajectory.TRAJECTORY]):
            tracks.add(at, cell, positions)
        told = dict(zip(table['step'], table['framework_displacement_A'], strict=True))
        assert [told[at] for at in tracks.steps] == pytest.approx(tracks.framework, rel=1e-5)


def test_a_calculator_that_is_not_there(run):
    _, result, _ = run({'name': 'nowhere:Nothing'})
    assert '`nowhere`' in result['error']
