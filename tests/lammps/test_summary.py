"""Density and drifts of a run, against tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.lammps.summary import density_drift, summarize_run


def table(volumes, energies=None) -> dict[str, np.ndarray]:
    """Return a table with a row every ten steps."""
    steps = 10.0 * np.arange(len(volumes))
    found = {'step': steps, 'volume_A3': np.array(volumes, dtype=float)}
    return found | ({} if energies is None else {'conserved_energy_eV': np.array(energies, dtype=float)})


def test_density_of_a_known_cell():
    # Water at 1 g/cm^3: a molecule in 29.9 A^3.
    found = summarize_run(table([29.915] * 5), 0, 3, 18.015, 1.0)
    assert found['density_g_cm3'] == pytest.approx(1.0, rel=1e-4)
    # A cell that is held drifts nowhere.
    assert found['density_drift'] is None
    assert found['equilibrated'] is None


def test_a_cell_that_still_grows_has_not_settled():
    volumes = np.append(np.linspace(1000, 1200, 21), [1100] * 10)
    found = density_drift(table(volumes), 200)
    # The second half of the equilibration, its last row left out: from 1100 to 1190 A^3.
    assert found['density_drift'] == pytest.approx(-90 / 1145)
    assert found['density_drift_error'] == pytest.approx(0, abs=1e-9)
    assert found['equilibrated'] is False


def test_noise_is_not_a_drift():
    volumes = 1000 + 20 * np.random.default_rng(1).normal(size=200)
    found = density_drift(table(volumes), 2000)
    assert found['equilibrated'] is True
    assert abs(found['density_drift']) < 3 * found['density_drift_error']
    assert density_drift(table(volumes), 40)['density_drift'] is None


def test_the_conserved_energy_drifts_by_a_known_rate():
    # 12 meV in ten steps of 2 fs over three atoms: 200 meV an atom and ps.
    energies = [7.0, *(0.012 * np.arange(20))]
    found = summarize_run(table([1.0] * 21, energies), 10, 3, 1.0, 2.0)
    assert found['energy_drift_meV_atom_ps'] == pytest.approx(200)
    # Where the thermostat changes its temperature nothing is conserved that could drift.
    heated = summarize_run(table([1.0] * 21, energies), 10, 3, 1.0, 2.0, heated=True)
    assert heated | {'energy_drift_meV_atom_ps': found['energy_drift_meV_atom_ps']} == found
    assert heated['energy_drift_meV_atom_ps'] is None
