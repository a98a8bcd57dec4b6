"""Prediction errors and committee deviation; depends on numpy only, since it is shipped with drivers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.deepmd.frameset import FrameSet

#: eV to meV.
MILLI = 1000.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction for n frames of N atoms.

    :param energies: (n,) eV.
    :param forces: (n, N, 3) eV/A.
    :param virials: (n, 3, 3) eV.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    virials: NDArray[np.float64]


def _pair(name: str, unit: str, differences: Iterable[NDArray[np.float64]]) -> dict[str, float]:
    parts = [np.ravel(part) for part in differences]
    joined = np.concatenate(parts) * MILLI if parts else np.zeros(0)
    if not joined.size:
        return {}
    mae, rmse = np.abs(joined).mean(), np.sqrt(np.square(joined).mean())
    return {f'{name}_mae_{unit}': float(mae), f'{name}_rmse_{unit}': float(rmse)}


def _table(pairs: Sequence[tuple[FrameSet, Prediction]]) -> dict[str, Any]:
    energy = [(p.energies - s.energies) / s.natoms for s, p in pairs if s.energies is not None]
    force = [p.forces - s.forces for s, p in pairs if s.forces is not None]
    virial = [(p.virials - s.virials) / s.natoms for s, p in pairs if s.virials is not None]
    errors = _pair('energy', 'meV_atom', energy) | _pair('force', 'meV_A', force) | _pair('virial', 'meV_atom', virial)
    return {'frames': sum(len(item) for item, _ in pairs), **errors}


def error_table(sets: Sequence[FrameSet], predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Return the mean absolute and root mean square errors over all frames, ``per_formula`` and ``per_element``.

    All frames have equal weight in the energies, all components of all atoms in the forces. Without labels the table
    contains the number of ``frames`` only.

    :param sets: frames with their labels.
    :param predictions: predictions for each of ``sets``.
    :returns: errors of the energy (meV/atom), the force components (meV/A) and the virial components (meV/atom);
        ``per_element`` contains those of the forces only.
    """
    pairs = list(zip(sets, predictions, strict=True))
    table = _table(pairs)
    if not any(item.labelled for item, _ in pairs):
        return table
    formulas = sorted({item.formula for item, _ in pairs})
    elements = sorted({symbol for item, _ in pairs for symbol in item.symbols})
    table['per_formula'] = {
        formula: _table([pair for pair in pairs if pair[0].formula == formula]) for formula in formulas
    }
    table['per_element'] = {
        element: _pair(
            'force',
            'meV_A',
            [
                (prediction.forces - item.forces)[:, np.array(item.symbols) == element]
                for item, prediction in pairs
                if item.forces is not None
            ],
        )
        for element in elements
    }
    return table


def committee_deviation(natoms: int, members: Sequence[Prediction]) -> dict[str, NDArray[np.float64]]:
    """Return the deviation of each frame as DeePMD-kit's pair style prints it, arrays (n,) under its names.

    The force deviation of an atom is the root mean square distance of the members' forces from their mean (eV/A);
    ``max_devi_f``, ``min_devi_f`` and ``avg_devi_f`` are taken over the atoms. The virial deviation is the standard
    deviation of each component divided by the number of atoms (eV); ``avg_devi_v`` is the root mean square over the
    components.

    :param natoms: number N of atoms.
    :param members: prediction of each member for the same n frames.
    """
    forces = np.linalg.norm(np.std([member.forces for member in members], axis=0), axis=-1)
    virials = np.std([member.virials.reshape(-1, 9) for member in members], axis=0) / natoms
    return {
        'max_devi_v': virials.max(-1),
        'min_devi_v': virials.min(-1),
        'avg_devi_v': np.sqrt(np.square(virials).mean(-1)),
        'max_devi_f': forces.max(-1),
        'min_devi_f': forces.min(-1),
        'avg_devi_f': forces.mean(-1),
    }
