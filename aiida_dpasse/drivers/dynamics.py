"""Short Langevin dynamics with a labeller, sampled for the first frames of a study (the paper's short AIMD)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.labellers import CalculatorLabeller, to_atoms
from aiida_dpasse.labels.admission import Labels
from aiida_dpasse.seeds import derive_seed


def temperatures(settings: dict[str, Any]) -> np.ndarray:
    """Return the temperature in K of each step.

    :param settings: ``temperature`` (K), ``final_temperature`` (K, or None for a constant temperature) and ``steps``.
    :returns: array (steps,), linear between the two temperatures.
    """
    final = settings['final_temperature'] or settings['temperature']
    return np.linspace(settings['temperature'], final, settings['steps'])


def sample_dynamics(
    start: FrameSet, sampler: CalculatorLabeller, settings: dict[str, Any]
) -> Iterator[tuple[FrameSet, Labels]]:
    """Run dynamics and yield the initial frame and every ``interval``-th step, with labels.

    The run ends early if forces are not finite. Velocities and noise depend on ``seed`` and the id of the frame, and
    hence not on the job that runs it.

    :param start: initial frame, a set of one.
    :param sampler: calculator of forces and labels.
    :param settings: ``temperature`` and ``final_temperature`` (K), ``steps``, ``interval``, ``timestep`` (fs),
        ``friction`` (1/fs) and ``seed``.
    :returns: pairs of a frame (a set of one) and its labels.
    """
    from ase import units
    from ase.md.langevin import Langevin

    generator = np.random.default_rng(derive_seed(settings['seed'], 'dynamics', str(start.ids[0])))
    atoms = to_atoms(start, 0)
    atoms.calc = sampler.calculator
    labels = sampler.labels_of(atoms)
    yield start, labels
    # Maxwell-Boltzmann momenta; ASE's own function was renamed between releases.
    width = np.sqrt(atoms.get_masses() * units.kB * settings['temperature'])
    atoms.set_momenta(width[:, None] * generator.standard_normal((len(atoms), 3)))
    dynamics = Langevin(
        atoms,
        timestep=settings['timestep'] * units.fs,
        temperature_K=settings['temperature'],
        friction=settings['friction'] / units.fs,
        # A drift of the centre of mass does not affect the labels; removing it would bias small cells.
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
