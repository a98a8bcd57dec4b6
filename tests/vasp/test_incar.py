"""VASP's INCAR: what labelling adds, tag by tag."""

from __future__ import annotations

import pytest

from aiida_dpasse.vasp.incar import LARGEST_SEED, OURS, label_incar, temperature_at

DYNAMICS = {'temperature': 300.0, 'final_temperature': 900.0, 'steps': 20, 'interval': 5}
DYNAMICS |= {'timestep': 1.5, 'friction': 0.02}


def test_a_frame_as_it_is():
    tags = label_incar({'encut': 600, 'GGA': 'PS'}, ['Li', 'S'])
    assert tags == {'ENCUT': 600, 'GGA': 'PS', 'NSW': 0, 'IBRION': -1, 'ISIF': 2}


def test_dynamics():
    tags = label_incar({'ENCUT': 600}, dict.fromkeys(['Li', 'Li', 'S']), DYNAMICS, LARGEST_SEED + 7)
    assert tags == {
        'ENCUT': 600,
        'NSW': 21,  # the start is VASP's first step
        'IBRION': 0,
        'ISIF': 2,
        'MDALGO': 3,
        'POTIM': 1.5,
        'TEBEG': 300.0,
        'TEEND': 900.0,
        'LANGEVIN_GAMMA': [20.0, 20.0],
        'RANDOM_SEED': [7, 0, 0],
    }
    # Whatever labelling writes is refused from the user.
    assert set(tags) - {'ENCUT'} <= set(OURS)
    steady = label_incar({}, ['Li'], {**DYNAMICS, 'final_temperature': None})
    assert (steady['TEBEG'], steady['TEEND']) == (300.0, 300.0)


def test_relaxation():
    settings = {'max_force': 0.02, 'steps': 30, 'cell': True}
    tags = label_incar({}, ['Li'], relaxation=settings)
    assert tags == {'NSW': 30, 'IBRION': 2, 'ISIF': 3, 'EDIFFG': -0.02}
    assert set(tags) <= set(OURS)
    assert label_incar({}, ['Li'], relaxation={**settings, 'cell': False})['ISIF'] == 2


@pytest.mark.parametrize(('step', 'temperature'), [(0, 300.0), (5, 450.0), (20, 900.0)])
def test_the_temperature_changes_evenly(step, temperature):
    assert temperature_at(step, DYNAMICS) == pytest.approx(temperature)
