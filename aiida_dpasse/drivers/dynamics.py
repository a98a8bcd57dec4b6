"""Short Langevin dynamics with a labeller, sampled: the first frames of a study (the paper's short AIMD)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.labellers import CalculatorLabeller, to_atoms
from aiida_dpasse.labels.admission import Labels
from aiida_dpasse.seeds import derive_seed


def temperatures(settings: dict[str, Any]) -> np.ndarray:
    """Temperature in K of each step (steps,): constant, or rising evenly to ``final_temperature``."""
    final = settings['final_temperature'] or settings['temperature']
    return np.linspace(settings['temperature'], final, settings['steps'])


def sample_dynamics(
    start: FrameSet, sampler: CalculatorLabeller, settings: dict[str, Any]
) -> Iterator[tuple[FrameSet, Labels]]:
    """Yield the start (a set of one frame) and every ``interval``-th step of a run from it, with labels.

    Ends early if the numbers stop being finite. Velocities and noise come from ``seed`` and the frame's id,
    so that a run does not
    depend on which job it is in.

    :param settings: ``temperature`` and ``final_temperature`` (K), ``steps``, ``interval``, ``timestep``
        (fs), ``friction`` (1/fs), ``seed``.
    """
    from ase import units
    from ase.md.langevin import Langevin

    generator = np.random.default_rng(derive_seed(settings['seed'], 'dynamics', str(start.ids[0])))
    atoms = to_atoms(start, 0)
    atoms.calc = sampler.calculator
    labels = sampler.labels_of(atoms)
    yield start, labels
    # Maxwell and Boltzmann's momenta; ASE's own function changed its name between releases.
    width = np.sqrt(atoms.get_masses() * units.kB * settings['temperature'])
    atoms.set_momenta(width[:, None] * generator.standard_normal((len(atoms), 3)))
    dynamics = Langevin(
        atoms,
        timestep=settings['timestep'] * units.fs,
        temperature_K=settings['temperature'],
        friction=settings['friction'] / units.fs,
        # The cell may drift as a whole, which no label sees; holding it would bias small cells.
        fixcm=False,
        rng=generator,
    )
    for step, temperature in enumerate(temperatures(settings), start=1):
        if not np.isfinite(labels.forces).all():
            return
        dynamics.set_temperature(temperature_K=temperature)
        dynamics.step()
        if step % settings['interval'] == 0:
            labels = sampler.labels_of(atoms)
            sample = FrameSet.sort_atoms(
                symbols=start.symbols,
                cells=start.cells,
                positions=[atoms.get_positions()],
                sources='frames',
                steps=[step],
                reasons=[f'dynamics at {temperature:.0f} K'],
            )
            yield sample, labels
