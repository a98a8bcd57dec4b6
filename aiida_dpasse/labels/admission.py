"""What is admitted as training data: frames that are no nonsense, labels that are finite, small and like the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.structures.distances import closest_contact, minimum_distance

#: eV/A^3 in GPa.
GPA = 160.21766208
#: With fewer energies of a formula than this, none is called an outlier.
FEWEST = 4
#: What is admitted unless a job's parameters say otherwise; units in the names of `LabelJobParameters`.
LIMITS: dict[str, Any] = {
    'max_force': 20.0,
    'max_stress': None,
    'max_energy_deviation': None,
    'minimum_distance': 0.8,
    'minimum_contact': None,
    'mode': 'strict',
    'dynamics': None,
    'relaxation': None,
}
#: Dynamics, the same way.
DYNAMICS: dict[str, Any] = {'final_temperature': None, 'timestep': 2.0, 'friction': 0.02, 'seed': 1}
#: Relaxation, the same way.
RELAXATION: dict[str, Any] = {'max_force': 0.01, 'steps': 500, 'cell': True}


class Labels(NamedTuple):
    """Labels of one frame: energy in eV, forces (natoms, 3) in eV/A, virial (3, 3) in eV or None."""

    energy: float
    forces: NDArray[np.float64]
    virial: NDArray[np.float64] | None


def limits_of(parameters: Mapping[str, Any], elements: Iterable[str]) -> dict[str, Any]:
    """Return what is admitted with all defaults, and the covalent ``radii`` (A) of ``elements`` if contacts are judged.

    ``parameters`` are those of a job; what is no limit is left out.
    """
    limits = {name: parameters.get(name, default) for name, default in LIMITS.items()}
    if limits['dynamics'] is not None:
        limits['dynamics'] = {**DYNAMICS, **limits['dynamics']}
    if limits['relaxation'] is not None:
        limits['relaxation'] = {**RELAXATION, **limits['relaxation']}
    if limits['minimum_contact']:
        # The compute machine is handed the numbers: a teacher's needs no ASE.
        from ase.data import atomic_numbers, covalent_radii

        limits['radii'] = {name: float(covalent_radii[atomic_numbers[name]]) for name in elements}
    return limits


def objection_to_geometry(item: FrameSet, frame: int, limits: Mapping[str, Any]) -> str | None:
    """Return why a frame is not worth labelling, or None.

    ``limits`` holds ``minimum_distance`` (A) and, if atoms have sizes, ``minimum_contact`` (fraction of the sum of two
    ``radii``, A by element).
    """
    cell, positions = item.cells[frame], item.positions[frame]
    shortest = minimum_distance(cell, positions)
    if shortest < limits['minimum_distance']:
        return f'two atoms are {shortest:.2f} A apart, nearer than {limits["minimum_distance"]} A'
    fraction = limits.get('minimum_contact')
    if fraction:
        contact, first, second = closest_contact(cell, positions, [limits['radii'][name] for name in item.symbols])
        if contact < fraction:
            return (
                f'{item.symbols[first]} and {item.symbols[second]} are at {contact:.2f} of the sum of their radii, '
                f'nearer than {fraction}'
            )
    return None


def objection_to_labels(labels: Labels, volume: float, limits: Mapping[str, Any]) -> str | None:
    """Return why labels are not admitted, or None: a number that is not finite, or a force (eV/A) or a component of the
    stress (GPa; the virial over ``volume``, A^3) above ``max_force`` or ``max_stress``."""
    if not finite(labels):
        return 'an energy, force or virial is not finite'
    largest = float(np.linalg.norm(labels.forces, axis=-1).max())
    if largest > limits['max_force']:
        return f'a force is {largest:.3g} eV/A, above {limits["max_force"]} eV/A'
    most = limits.get('max_stress')
    if most and labels.virial is not None:
        stress = float(np.abs(labels.virial).max()) / volume * GPA
        if stress > most:
            return f'a component of the stress is {stress:.3g} GPa, above {most} GPa'
    return None


def finite(labels: Labels) -> bool:
    """Whether all numbers of ``labels`` are finite: no mode admits others."""
    virial = np.zeros(1) if labels.virial is None else labels.virial
    return bool(np.isfinite(labels.energy) and np.isfinite(labels.forces).all() and np.isfinite(virial).all())


def outliers(energies: Sequence[float], limit: float | None) -> dict[int, str]:
    """Return, by index, the energies per atom (eV) farther than ``limit`` (eV) from the median of all, and why."""
    if limit is None or len(energies) < FEWEST:
        return {}
    values = np.asarray(energies, dtype=float)
    distances = values - np.median(values)
    return {
        int(index): f'its energy is {distances[index]:+.3g} eV an atom from the median of its batch, beyond {limit} eV'
        for index in np.flatnonzero(np.abs(distances) > limit)
    }
