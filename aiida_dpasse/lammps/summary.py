"""What a run tells of itself: means of its production, the density it found, and how energy and density drift."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.assessment.acceptance import energy_drift
from aiida_dpasse.lammps.log import production_means

Array = NDArray[np.float64]

#: Atomic mass unit over cubic angstrom in g/cm^3 (CODATA 2018).
DENSITY = 1.66053906660
#: Relative change of the density over the second half of an equilibration from which on it has not settled.
LARGEST_DENSITY_DRIFT = 0.02
#: Fewer rows than this tell no drift.
FEWEST_ROWS = 4


def summarize_run(
    thermo: dict[str, Array], start: int, atoms: int, mass: float, timestep: float, heated: bool = False
) -> dict[str, Any]:
    """Return `production_means`, ``density_g_cm3``, ``energy_drift_meV_atom_ps`` and those of `density_drift`.

    :param thermo: arrays (rows,) by name, see `log.COLUMNS`.
    :param start: step at which production begins; ``atoms`` with ``mass`` in atomic units; ``timestep`` in fs.
    :param heated: whether the temperature of the thermostat changes: then no energy is conserved, and none drifts.
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
    """Return by which part the density changed over the second half of an equilibration that ends at step ``end``.

    ``density_drift`` and its standard error ``density_drift_error``, from the line through the volumes, rows taken for
    independent, and ``equilibrated``: whether it is below `LARGEST_DENSITY_DRIFT` or within two errors. All are null
    where the volume was held, or too few rows were printed.
    """
    unknown = {'density_drift': None, 'density_drift_error': None, 'equilibrated': None}
    if not len(thermo.get('volume_A3', ())):
        return unknown
    # The row of the last step is that of the cell handed on.
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
