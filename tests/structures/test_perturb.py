"""Perturbation: seeded, of the stated size, and never with overlapping atoms."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_dpasse.structures.distances import minimum_distance
from aiida_dpasse.structures.perturb import perturb, strain_matrix
from aiida_dpasse.structures.prototypes import argyrodite, rock_salt


def test_same_seed_same_structures_another_seed_others():
    settings = {'cell_fraction': 0.03, 'displacement': 0.1}
    first, again, other = (perturb(argyrodite(), 3, seed=seed, **settings) for seed in (7, 7, 8))
    for one, two, three in zip(first, again, other, strict=True):
        assert np.array_equal(one.structure.cart_coords, two.structure.cart_coords)
        assert np.array_equal(one.structure.lattice.matrix, two.structure.lattice.matrix)
        assert not np.allclose(one.structure.cart_coords, three.structure.cart_coords)


def test_numbers_scales_and_species():
    results = perturb(rock_salt(), 2, cell_fraction=0.0, displacement=0.0, seed=1, scales=(0.96, 1.0, 1.04))
    assert [(result.scale, result.index) for result in results] == [(s, i) for s in (0.96, 1.0, 1.04) for i in (0, 1)]
    assert [result.structure.lattice.a for result in results] == pytest.approx(
        [5.501 * s for s in (0.96, 0.96, 1, 1, 1.04, 1.04)]
    )
    assert all(result.structure.species == rock_salt().species for result in results)
    assert perturb(rock_salt(), 0, cell_fraction=0.1, displacement=0.1, seed=1) == []


def test_strain_is_symmetric_and_bounded():
    generator = np.random.default_rng(3)
    strains = np.array([strain_matrix(0.05, generator) - np.eye(3) for _ in range(400)])
    assert np.array_equal(strains, np.swapaxes(strains, 1, 2))
    assert np.abs(strains[:, range(3), range(3)]).max() <= 0.05
    assert np.abs(strains[:, 0, 1]).max() <= 0.025
    assert np.abs(strains[:, range(3), range(3)]).max() > 0.049  # the range is used to its ends


def test_displacements_have_the_stated_root_mean_square():
    crystal = rock_salt()
    results = perturb(crystal, 400, cell_fraction=0.0, displacement=0.12, seed=5)
    moves = np.array([result.structure.cart_coords for result in results]) - crystal.cart_coords
    square = (moves**2).sum(axis=-1).mean()
    # 3 x 3200 normal draws: relative standard error of the mean square sqrt(2/9600) = 1.4 %
    assert square == pytest.approx(0.12**2, rel=0.06)


def test_atoms_are_kept_apart():
    results = perturb(argyrodite(primitive=True), 20, cell_fraction=0.05, displacement=0.5, seed=2, closest=1.5)
    assert min(minimum_distance(r.structure.lattice.matrix, r.structure.cart_coords) for r in results) >= 1.5


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'displacement': 5.0, 'closest': 2.5}, 'smaller `displacement`'),
        ({'cell_fraction': 0.7}, r'`cell_fraction`.*0.*0.5'),
        ({'number': -1}, r'`number`.* got -1,'),
        ({'scales': ()}, 'scales: '),
        ({'scales': (0.0,)}, 'scales: '),
    ],
)
def test_refusals(changes, sentence):
    settings = {'number': 1, 'cell_fraction': 0.02, 'displacement': 0.1, 'seed': 1, **changes}
    with pytest.raises(ValueError, match=sentence):
        perturb(argyrodite(), settings.pop('number'), **settings)


def test_partial_occupancies_are_refused():
    mixed = Structure(Lattice.cubic(4), [{'Cl': 0.5, 'Br': 0.5}], [[0, 0, 0]])
    with pytest.raises(ValueError, match='partially occupied'):
        perturb(mixed, 1, cell_fraction=0.0, displacement=0.0, seed=1)
