"""Atoms that overlap are found, and atoms that are bonded are not."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_dpasse.structures.overlap import closest_pair, find_overlap

CELL = 8.0 * np.eye(3)


@pytest.mark.parametrize(
    ('symbols', 'distance', 'overlap'),
    [
        (['Li', 'Li'], 1.6, True),
        (['Li', 'Li'], 1.9, False),
        (['H', 'H'], 0.74, False),
        (['H', 'H'], 0.2, True),
        (['N', 'N'], 1.10, False),
        (['O', 'H'], 0.80, False),
        (['U', 'N'], 1.75, False),
        (['P', 'S'], 1.60, False),
        (['Cu', 'Cu'], 1.2, True),
        (['Cu', 'Cu'], 1.6, False),
        (['Na', 'Na'], 2.0, True),
        (['Li', 'S'], 1.3, False),
    ],
)
def test_what_overlaps(symbols, distance, overlap):
    """Bonds of molecules and of hot crystals are no overlaps, also across the border of the cell."""
    across = [[7.9, 0, 0], [7.9 + distance - 8.0, 0, 0]]
    assert (find_overlap(symbols, CELL, across) is not None) == overlap


def test_pairs_are_counted_and_named():
    line = [[0, 0, 0], [0, 0, 0], [0.3, 0, 0], [4, 4, 4]]
    found = find_overlap(['Li'] * 4, CELL, line)
    assert found is not None
    assert '0.00 A' in found
    assert 'and 2 other pairs' in found


def test_closest_pair_is_relative_to_the_radii():
    sites = [[0, 0, 0], [0.3, 0, 0], [0.3, 0.2, 0]]
    crystal = Structure(Lattice(CELL), [{'Li': 0.5}, 'Cl', 'O'], sites)
    first, second, distance, ratio = closest_pair(crystal)
    assert (first, second, distance) == ('Cl', 'O', pytest.approx(1.6))
    assert ratio == pytest.approx(1.6 / (1.02 + 0.66))
    assert closest_pair(Structure(Lattice.cubic(9), ['H'], [[0, 0, 0]])) is None
