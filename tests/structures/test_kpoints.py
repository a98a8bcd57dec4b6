"""Meshes of k-points, counted by hand."""

from __future__ import annotations

import numpy as np

from aiida_dpasse.structures.kpoints import kpoint_mesh


def test_the_mesh_is_that_of_vasp():
    cubic = np.eye(3) * 10.0
    # |b| = 2 pi / 10 = 0.628 1/A.
    for spacing, number in ((0.7, 1), (0.63, 1), (0.62, 2), (0.3, 3), (2 * np.pi / 40, 4)):
        assert kpoint_mesh([cubic], {'spacing': spacing}) == (number,) * 3
    # The primitive cell of a fcc crystal of 10 A: |b| = 2 pi sqrt(3) / 10.
    primitive = np.array([[0, 5, 5], [5, 0, 5], [5, 5, 0.0]])
    assert kpoint_mesh([primitive], {'spacing': 0.6}) == (2, 2, 2)
    long = np.diag([5.0, 10.0, 20.0])
    assert kpoint_mesh([long], {'spacing': 0.3, 'mesh': None}) == (5, 3, 2)
    # The cell of a run that needs most decides.
    assert kpoint_mesh([long, cubic], {'spacing': 0.3}) == (5, 3, 3)
    assert kpoint_mesh([cubic], {'mesh': [3, 1, 2]}) == (3, 1, 2)
    assert kpoint_mesh([cubic], None) == (1, 1, 1)
