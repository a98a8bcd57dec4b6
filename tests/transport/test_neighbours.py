"""Pairs of atoms counted box by box: the same pairs, to the last bit of their distances."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.transport import neighbours

CELLS = {
    'cubic': np.eye(3) * 20,
    'flat': np.diag([9.0, 40.0, 35.0]),
    'triclinic': np.array([[22.0, 0, 0], [7.0, 25, 0], [-6.0, 8, 24]]),
    'general': np.array([[18.0, 2, 1], [-3.0, 21, 4], [1.0, -9, 23]]),
}


@pytest.mark.parametrize('name', CELLS)
@pytest.mark.parametrize('same', [True, False])
def test_boxes_give_the_counts_of_all_pairs(monkeypatch, name, same):
    """Atoms are far outside the cell, on its faces, and at distances that are bounds of the bins."""
    rng = np.random.default_rng(4)
    cell = CELLS[name]
    lattice = np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing='ij'), axis=-1).reshape(-1, 3) / 8
    early = np.concatenate([lattice, rng.normal(scale=3, size=(500, 3))]) @ cell
    moves = rng.normal(scale=2, size=early.shape) * (rng.random((len(early), 1)) < 0.5)
    late = early + moves if same else (early + moves)[:700]
    paired = []
    for edges in (np.linspace(0, 3, 25), np.arange(0, 4.4, 0.2), np.array([1.5, 1.9, 4.4])):
        monkeypatch.setattr(neighbours, 'ATOMS', 1)
        blocks = list(neighbours._blocks(*(x @ np.linalg.inv(cell) for x in (late, early)), cell, edges[-1]))
        paired.append(sum(len(rows) * len(columns) for rows, columns in blocks))
        found = neighbours.pair_counts(late, early, cell, edges, same)
        monkeypatch.setattr(neighbours, 'ATOMS', len(early))
        expected = neighbours.pair_counts(late, early, cell, edges, same)
        assert found.sum() > 0
        assert np.array_equal(found, expected)
    # Most pairs were not looked at.
    assert max(paired) < 0.5 * len(late) * len(early)
