"""Exchange of atoms by the Metropolis algorithm: against the exact Boltzmann distribution, and with a calculator."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.units import kB
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from aiida_dpasse.structures.metropolis import energy_of, exchange_atoms
from aiida_dpasse.structures.prototypes import argyrodite

#: Two Na and three K in a row of five sites, and the energy of an Na on each in units of kT at 500 K.
ROW = Structure(Lattice.orthorhombic(20, 5, 5), ['Na', 'Na', 'K', 'K', 'K'], [[i / 5, 0, 0] for i in range(5)])
FIELD = np.array([0.0, 0.4, -0.7, 1.1, 0.2])
TEMPERATURE = 500.0
STEPS = 6000


def energy(structure: Structure) -> float:
    """Energies of Na on the sites, and 0.8 kT for each two Na on neighbouring sites of the open row."""
    held = np.array([site.specie.symbol == 'Na' for site in structure])
    return float(kB * TEMPERATURE * (FIELD[held].sum() + 0.8 * (held[1:] & held[:-1]).sum()))


def test_configurations_are_visited_with_their_boltzmann_probability():
    """All ten are compared, with the standard deviation from means over blocks, which are independent."""
    result = exchange_atoms(ROW, 'Na', 'K', energy, TEMPERATURE, STEPS, 7)
    weights = {}
    for pair in combinations(range(5), 2):
        held = np.isin(np.arange(5), pair)
        weights[pair] = np.exp(-FIELD[held].sum() - 0.8 * (held[1:] & held[:-1]).sum())
    total = sum(weights.values())
    visited = [tuple(np.flatnonzero(state).tolist()) for state in result.occupied[1:]]
    assert set(visited) == set(weights)
    deviations = []
    for pair, weight in weights.items():
        series = np.array([each == pair for each in visited], dtype=float).reshape(60, -1).mean(axis=1)
        deviations.append((series.mean() - weight / total) / (series.std(ddof=1) / np.sqrt(60)))
    assert np.abs(deviations).max() < 3.5
    assert np.mean(np.square(deviations)) < 2.5
    # The mean energy is that of the distribution, and the acceptance is what the trials say.
    exact = sum(-weight * np.log(weight) for weight in weights.values()) / total
    assert result.energies.mean() / (kB * TEMPERATURE) == pytest.approx(exact, abs=0.08)
    assert result.accepted == int((result.occupied[1:] != result.occupied[:-1]).any(axis=1).sum())
    assert result.acceptance == result.accepted / STEPS
    assert 0.3 < result.acceptance < 0.9


def test_the_lowest_structure_and_the_seed():
    one, again, other = (exchange_atoms(ROW, 'Na', 'K', energy, 300, 200, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.energies, again.energies)
    assert not np.array_equal(one.energies, other.energies)
    # Na on the first and third site, which are no neighbours.
    assert [site.specie.symbol for site in one.lowest] == ['Na', 'K', 'Na', 'K', 'K']
    assert energy(one.lowest) == one.energies.min()
    assert energy(one.last) == one.energies[-1]
    assert one.last.composition == ROW.composition


def test_without_energy_every_trial_is_accepted():
    result = exchange_atoms(ROW, 'Na', 'K', lambda _: 0.0, 300, 300, 1)
    assert result.acceptance == 1
    pairs = Counter(tuple(np.flatnonzero(state).tolist()) for state in result.occupied)
    assert len(pairs) == 10


def test_an_ase_calculator_and_some_sites():
    """S and Cl exchange on 4a and 4c only, and energies are those of the calculator."""
    crystal = argyrodite('Cl', primitive=True)
    sites = [index for index, site in enumerate(crystal) if site.specie.symbol == 'Cl']
    sites += [i for i, site in enumerate(crystal) if site.specie.symbol == 'S' and np.allclose(site.frac_coords, 0.25)]
    calculator = LennardJones(sigma=2.0, epsilon=0.1, rc=4.0)
    result = exchange_atoms(crystal, 'S', 'Cl', energy_of(calculator), 1000, 3, 1, sites=sites)
    assert result.sites.tolist() == sorted(sites)
    atoms = AseAtomsAdaptor.get_atoms(result.last)
    atoms.calc = LennardJones(sigma=2.0, epsilon=0.1, rc=4.0)
    assert result.energies[-1] == pytest.approx(atoms.get_potential_energy())
    kept = [index for index in range(len(crystal)) if index not in sites]
    assert all(result.last[index] == crystal[index] for index in kept)


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (('Na', 'Na', 300, 5), 'name two elements'),
        (('Na', 'Cs', 300, 5), 'should hold both Na and Cs'),
        (('Na', 'K', 0, 5), 'should be positive'),
        (('Na', 'K', 300, 0), 'should be positive'),
    ],
)
def test_refusals(arguments, sentence):
    first, second, temperature, steps = arguments
    with pytest.raises(ValueError, match=sentence):
        exchange_atoms(ROW, first, second, energy, temperature, steps, 1)


def test_sites_of_other_elements_are_refused():
    with pytest.raises(ValueError, match='should hold S or Cl'):
        exchange_atoms(argyrodite('Cl'), 'S', 'Cl', lambda _: 0.0, 300, 1, 1, sites=[0, 1])
