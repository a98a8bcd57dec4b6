"""Relaxation with a labeller, of the crystals that are perturbed afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.labellers import CalculatorLabeller, to_atoms
from aiida_dpasse.labels.admission import Labels


def relax(start: FrameSet, sampler: CalculatorLabeller, settings: dict[str, Any]) -> tuple[FrameSet, Labels | str]:
    """Relax one frame.

    :param start: initial frame, a set of one.
    :param sampler: calculator of forces and labels.
    :param settings: ``max_force`` (eV/A), ``steps`` and ``cell``, which relaxes the lattice with the atoms at zero
        pressure; its gradient, as defined by ASE's `FrechetCellFilter`, then counts as a force.
    :returns: the last frame (a set of one), with its labels or the reason why it is not relaxed.
    """
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    atoms = to_atoms(start, 0)
    atoms.calc = sampler.calculator
    optimizer = FIRE(FrechetCellFilter(atoms) if settings['cell'] else atoms, logfile=None)
    done = optimizer.run(fmax=settings['max_force'], steps=settings['steps'])
    labels = sampler.labels_of(atoms)
    relaxed = FrameSet.sort_atoms(
        symbols=start.symbols,
        cells=[atoms.cell.array],
        positions=[atoms.get_positions()],
        sources=str(start.sources[0]),
        reasons=f'relaxed from {start.ids[0]}',
    )
    if done:
        return relaxed, labels
    largest = float(np.linalg.norm(labels.forces, axis=-1).max())
    return relaxed, f'not relaxed in {settings["steps"]} steps: the largest force is {largest:.3g} eV/A'
