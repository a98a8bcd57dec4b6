"""Summary of a run: means over the production, the density, and the drift of energy and density."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.assessment.acceptance import energy_drift
from aiida_dpasse.lammps.log import production_means

Array = NDArray[np.float64]

#: Atomic mass unit over cubic angstrom in g/cm^3 (CODATA 2018).
DENSITY = 1.66053906660
#: Largest relative change of the density over the second half of an equilibration that counts as converged.
LARGEST_DENSITY_DRIFT = 0.02
#: Smallest number of rows for a drift.
FEWEST_ROWS = 4


def summarize_run(
    thermo: dict[str, Array], start: int, atoms: int, mass: float, timestep: float, heated: bool = False
) -> dict[str, Any]:
    """Return `production_means`, ``density_g_cm3``, ``energy_drift_meV_atom_ps`` and the entries of `density_drift`.

    :param thermo: arrays (rows,) by name, see `log.COLUMNS`.
    :param start: step at which production begins.
    :param atoms: number of atoms.
    :param mass: total mass in atomic mass units.
    :param timestep: fs.
    :param heated: whether the temperature of the thermostat changes: then the energy is not conserved, and its drift is
        None.
    """
    found: dict[str, Any] = production_means(thermo, start)
    volume = found.get('volume_mean_A3')
    found['density_g_cm3'] = None if not volume else DENSITY * mass / volume
    found['energy_drift_meV_atom_ps'] = None
    energies = thermo.get('conserved_energy_eV', np.empty(0))
    if len(energies) and not heated:
        inside = (thermo['step'] >= start) & np.isfinite(energies)
        if np.count_nonzero(inside) >= FEWEST_ROWS:
            times = 1e-3 * timestep * thermo['step'][inside]
            found['energy_drift_meV_atom_ps'] = float(energy_drift(times, energies[inside], atoms))
    return found | density_drift(thermo, start)


def density_drift(thermo: dict[str, Array], end: int) -> dict[str, Any]:
    """Return the relative change of the density over the second half of an equilibration.

    It follows from a straight line through the volumes, with the rows taken as independent.

    :param thermo: arrays (rows,) by name, see `log.COLUMNS`.
    :param end: step at which the equilibration ends.
    :returns: ``density_drift``, its standard error ``density_drift_error``, and ``equilibrated``: whether the change is
        at most `LARGEST_DENSITY_DRIFT` or two standard errors. All are None if the volume was constant, or there are
        too few rows.
    """
    unknown = {'density_drift': None, 'density_drift_error': None, 'equilibrated': None}
    if not len(thermo.get('volume_A3', ())):
        return unknown
    # The row of the last step may already be that of the averaged cell passed on to the production.
    inside = (thermo['step'] >= end / 2) & (thermo['step'] < end)
    steps, volumes = thermo['step'][inside], thermo['volume_A3'][inside]
    if len(steps) < FEWEST_ROWS or not np.isfinite(volumes).all() or np.ptp(volumes) < 1e-9 * volumes.mean():
        return unknown
    places = (steps - steps.mean()) / np.ptp(steps)
    slope = float(places @ volumes / (places @ places))
    rest = volumes - volumes.mean() - slope * places
    error = float(np.sqrt(rest @ rest / (len(steps) - 2) / (places @ places)))
    drift, error = -slope / float(volumes.mean()), error / float(volumes.mean())
    settled = abs(drift) <= max(LARGEST_DENSITY_DRIFT, 2 * error)
    return {'density_drift': drift, 'density_drift_error': error, 'equilibrated': bool(settled)}
