"""Which sites can be held; what LAMMPS makes of it is in tests/lammps/test_fixed.py."""

from __future__ import annotations

import pytest

from aiida_dpasse.calculations.md import check_fixed
from aiida_dpasse.calculations.md_ase import check_dynamics
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.parameters.md import MDParameters

NVT = {'ensemble': 'nvt', 'temperature': 300.0, 'steps': 20, 'seed': 7, 'fixed': [7, 0, 1]}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'ensemble': 'npt'}, '`ensemble`'),
        ({'equilibration': {'ensemble': 'npt', 'steps': 9}}, '`equilibration.ensemble`'),
        ({'fixed': [1, 1]}, '`fixed`'),
        ({'fixed': [-1]}, '`fixed.0`'),
    ],
)
def test_wrong_parameters_are_named(changes, message):
    assert message in (check_parameters(MDParameters, NVT | changes) or '')


def test_sites_that_are_not_there_or_all_there_are_are_refused():
    assert check_fixed(None, 12) is check_fixed([], 12) is check_fixed([11, 0], 12) is None
    assert '`fixed`' in (check_fixed([12], 12) or '')
    assert '`fixed`' in (check_fixed([2, 1, 0], 3) or '')
    assert '`fixed`' in (check_dynamics(NVT) or '')
    assert check_parameters(MDParameters, NVT) is None
