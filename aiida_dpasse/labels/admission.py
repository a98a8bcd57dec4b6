"""Acceptance criteria of training data: plausible geometries, and finite, limited and consistent labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.structures.distances import closest_contact, minimum_distance

#: eV/A^3 in GPa.
GPA = 160.21766208
#: Fewest energies of a formula for which outliers are determined.
FEWEST = 4
#: Default acceptance criteria; units as in `LabelJobParameters`.
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
#: Default parameters of dynamics.
DYNAMICS: dict[str, Any] = {'final_temperature': None, 'timestep': 2.0, 'friction': 0.02, 'seed': 1}
#: Default parameters of a relaxation.
RELAXATION: dict[str, Any] = {'max_force': 0.01, 'steps': 500, 'cell': True}


class Labels(NamedTuple):
    """Labels of one frame: energy in eV, forces (natoms, 3) in eV/A, virial (3, 3) in eV or None."""

    energy: float
    forces: NDArray[np.float64]
    virial: NDArray[np.float64] | None


def limits_of(parameters: Mapping[str, Any], elements: Iterable[str]) -> dict[str, Any]:
    """Return the acceptance criteria with all defaults.

    :param parameters: parameters of a job; keys other than those of `LIMITS` are ignored.
    :param elements: symbols of the elements in the frames.
    :returns: the criteria and, if ``minimum_contact`` is set, the covalent ``radii`` (A) of ``elements``.
    """
    limits = {name: parameters.get(name, default) for name, default in LIMITS.items()}
    if limits['dynamics'] is not None:
        limits['dynamics'] = {**DYNAMICS, **limits['dynamics']}
    if limits['relaxation'] is not None:
        limits['relaxation'] = {**RELAXATION, **limits['relaxation']}
    if limits['minimum_contact']:
        # The radii are passed to the job, because a computer that labels with a potential may lack ASE.
        from ase.data import atomic_numbers, covalent_radii

        limits['radii'] = {name: float(covalent_radii[atomic_numbers[name]]) for name in elements}
    return limits


def objection_to_geometry(item: FrameSet, frame: int, limits: Mapping[str, Any]) -> str | None:
    """Return why a frame is not worth labelling, or None.

    :param item: set of frames.
    :param frame: index of the frame.
    :param limits: ``minimum_distance`` (A) and, optionally, ``minimum_contact``, a fraction of the sum of two ``radii``
        (A, by element).
    """
    cell, positions = item.cells[frame], item.positions[frame]
    shortest = minimum_distance(cell, positions)
    if shortest < limits['minimum_distance']:
        return f'two atoms are {shortest:.2f} A apart, closer than {limits["minimum_distance"]} A'
    fraction = limits.get('minimum_contact')
    if fraction:
        contact, first, second = closest_contact(cell, positions, [limits['radii'][name] for name in item.symbols])
        if contact < fraction:
            return (
                f'{item.symbols[first]} and {item.symbols[second]} are at {contact:.2f} of the sum of their covalent '
                f'radii, closer than {fraction}'
            )
    return None


def objection_to_labels(labels: Labels, volume: float, limits: Mapping[str, Any]) -> str | None:
    """Return why labels are not accepted, or None.

    Labels are rejected if a number is not finite, a force exceeds ``max_force`` (eV/A), or a component of the stress
    exceeds ``max_stress`` (GPa).

    :param labels: labels of one frame.
    :param volume: volume of the cell in A^3, which converts the virial to the stress.
    :param limits: ``max_force`` and, optionally, ``max_stress``.
    """
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
    """Return whether all numbers of ``labels`` are finite, which every mode requires."""
    virial = np.zeros(1) if labels.virial is None else labels.virial
    return bool(np.isfinite(labels.energy) and np.isfinite(labels.forces).all() and np.isfinite(virial).all())


def outliers(energies: Sequence[float], limit: float | None) -> dict[int, str]:
    """Return the energies farther than ``limit`` from the median, with the reason for the rejection of each.

    :param energies: energies per atom in eV.
    :param limit: largest accepted distance from the median in eV; None accepts all.
    :returns: reasons by index; empty if there are fewer than `FEWEST` energies.
    """
    if limit is None or len(energies) < FEWEST:
        return {}
    values = np.asarray(energies, dtype=float)
    distances = values - np.median(values)
    return {
        int(index): f'its energy is {distances[index]:+.3g} eV/atom from the median of its batch, '
        f'more than {limit} eV/atom'
        for index in np.flatnonzero(np.abs(distances) > limit)
    }
