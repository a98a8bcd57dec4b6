"""Exchange of two kinds of atoms by the Metropolis algorithm, under the energy of any potential.

N. Metropolis et al., J. Chem. Phys. 21, 1087 (1953). A trial exchanges the positions of two atoms, each of which is
drawn with equal probability from all of its kind. The numbers of both do not change, so that a trial and its reverse
are equally likely, and configurations are visited with the probability exp(-E / kT).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.units import kB
from numpy.typing import NDArray
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor

from aiida_dpasse.structures.disorder import require_ordered

Energy = Callable[[Structure], float]
"""Returns the energy of an ordered structure in eV."""


@dataclass(frozen=True)
class Exchanges:
    """Result of exchanges at one temperature.

    :param last: the last structure.
    :param lowest: the structure of lowest energy that was visited, the first one included.
    :param energies: eV, (steps + 1,), of the structure after each trial; the first is that of the given one.
    :param occupied: (steps + 1, sites) booleans, whether the first kind occupies each of :attr:`sites`.
    :param sites: indices of the sites that take part, in the order of the structure.
    :param accepted: number of accepted trials.
    :param trials: number of trials.
    """

    last: Structure
    lowest: Structure
    energies: NDArray[np.float64]
    occupied: NDArray[np.bool_]
    sites: NDArray[np.int64]
    accepted: int
    trials: int

    @property
    def acceptance(self) -> float:
        """Fraction of the trials that were accepted."""
        return self.accepted / self.trials


def exchange_atoms(
    structure: Structure,
    first: str,
    second: str,
    energy: Energy,
    temperature: float,
    steps: int,
    seed: int,
    *,
    sites: Sequence[int] | None = None,
) -> Exchanges:
    """Exchange atoms of two elements at a temperature.

    :param structure: ordered structure; atoms keep their positions, and only elements change.
    :param first: chemical symbol.
    :param second: chemical symbol.
    :param energy: returns the energy of a structure in eV.
    :param temperature: K.
    :param steps: number of trials.
    :param seed: of the random numbers.
    :param sites: indices of the sites that take part; by default all of the two elements. With it the S of PS4 stay
        where they are.
    :raises ValueError: in one sentence, for partial occupancies, a temperature or number of trials that is not
        positive, sites of other elements, or an element of which there is none.
    """
    require_ordered(structure)
    if not temperature > 0 or steps < 1:
        raise ValueError(f'exchange: temperature and trials should be positive, got {temperature} K and {steps}.')
    if first == second:
        raise ValueError(f'exchange: name two elements, got {first} twice.')
    symbols = [site.specie.symbol for site in structure]
    taking = range(len(symbols)) if sites is None else sorted(set(sites))
    chosen = np.array([index for index in taking if symbols[index] in (first, second)], dtype=np.int64)
    if sites is not None and len(chosen) < len(taking):
        raise ValueError(f'exchange: all sites that take part should hold {first} or {second}.')
    occupied = np.array([symbols[index] == first for index in chosen], dtype=bool)
    if occupied.all() or not occupied.any():
        raise ValueError(f'exchange: the sites that take part should hold both {first} and {second}.')
    generator = np.random.default_rng(seed)
    current = structure.copy()
    energies, states = [float(energy(current))], [occupied.copy()]
    lowest, least, accepted = current.copy(), energies[0], 0
    for _ in range(steps):
        one = int(generator.choice(np.flatnonzero(occupied)))
        other = int(generator.choice(np.flatnonzero(~occupied)))
        trial = current.copy()
        trial.replace(int(chosen[one]), second)
        trial.replace(int(chosen[other]), first)
        value = float(energy(trial))
        # The draw is made in any case: the same seed gives the same trials.
        if np.log(generator.random()) <= -(value - energies[-1]) / (kB * temperature):
            current, accepted = trial, accepted + 1
            occupied[[one, other]] = False, True
            energies.append(value)
        else:
            energies.append(energies[-1])
        states.append(occupied.copy())
        if energies[-1] < least:
            lowest, least = current.copy(), energies[-1]
    return Exchanges(current, lowest, np.array(energies), np.array(states), chosen, accepted, steps)


def energy_of(calculator: Any) -> Energy:
    """Return the potential energy of an ASE calculator as a function of a structure.

    :param calculator: such as `deepmd.calculator.DP`, `CHGNetCalculator` or `SevenNetCalculator`.
    """

    def energy(structure: Structure) -> float:
        atoms = AseAtomsAdaptor.get_atoms(structure)
        atoms.calc = calculator
        return float(atoms.get_potential_energy())

    return energy
