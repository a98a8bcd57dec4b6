"""VASP's INCAR: what labelling adds, tag by tag."""

from __future__ import annotations

import pytest

from aiida_dpasse.vasp.incar import LARGEST_SEED, OURS, label_incar, objection_to_tags, temperature_at

DYNAMICS = {'temperature': 300.0, 'final_temperature': 900.0, 'steps': 20, 'interval': 5}
DYNAMICS |= {'timestep': 1.5, 'friction': 0.02}


def test_a_frame_as_it_is():
    tags = label_incar({'encut': 600, 'GGA': 'PS'}, ['Li', 'S'])
    assert tags == {'ENCUT': 600, 'GGA': 'PS', 'NSW': 0, 'IBRION': -1, 'ISIF': 2}


def test_dynamics():
    tags = label_incar({'ENCUT': 600}, ['Li', 'Li', 'S'], DYNAMICS, LARGEST_SEED + 7)
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


def test_tags_by_element_follow_the_atoms_of_each_frame():
    """One INCAR for all frames: what an element has is written where the frame has the element."""
    incar = {'ldauu': {'Fe': 4.3}, 'LDAUL': {'Fe': 2}, 'LDAUJ': {}, 'MAGMOM': {'Fe': 5.0}, 'NELECT': {'Fe': 8, 'O': 6}}
    assert objection_to_tags(incar, ['O', 'Fe']) is None
    assert label_incar(incar, ['Fe', 'O', 'O']) == {
        **{'LDAUU': [4.3, 0], 'LDAUL': [2, -1], 'LDAUJ': [0, 0], 'MAGMOM': '1*5.0 2*0', 'NELECT': 20},
        **{'NSW': 0, 'IBRION': -1, 'ISIF': 2},
    }
    given = label_incar({**incar, 'RWIGS': {'O': 0.7, 'Fe': 1.2}, 'NELECT': {'O': 6, 'Li': 1}}, ['Li', 'O'])
    assert (given['LDAUU'], given['LDAUL'], given['MAGMOM']) == ([0, 0], [-1, -1], '1*0 1*0')
    assert given['NELECT'] == 7
    assert label_incar({'RWIGS': {'O': 0.7, 'Fe': 1.2}}, ['Fe', 'O'])['RWIGS'] == [1.2, 0.7]
    # One number for all atoms, or for the only element.
    assert label_incar({'MAGMOM': 0.6}, ['Fe', 'Fe', 'O'])['MAGMOM'] == '2*0.6 1*0.6'
    assert objection_to_tags({'LDAUU': 4.0, 'MAGMOM': 1}, ['Fe']) is None


@pytest.mark.parametrize(
    ('tags', 'said'),
    [
        ({'LDAUU': [0, 4.3]}, 'LDAUU'),
        ({'LDAUU': 4.3}, 'LDAUU'),
        ({'ldaul': '-1 2'}, 'LDAUL'),
        ({'MAGMOM': '4*0.6'}, 'MAGMOM'),
        ({'MAGMOM': [5.0, 0.0]}, 'MAGMOM'),
        ({'NELECT': 70}, 'NELECT'),
        ({'NELECT': {'Fe': 8}}, ' O'),
        ({'RWIGS': {'Fe': 1.2}}, ' O'),
        ({'LDAUU': {'Iron': 4.3}}, 'Iron'),
        ({'LDAUU': {'Fe': [4.3]}}, 'Fe'),
        ({'MAGMOM': {'Fe': 5}, 'LSORBIT': True}, 'MAGMOM'),
    ],
)
def test_what_cannot_fit_every_frame_is_refused(tags, said):
    """Frames differ in their elements and atoms, and their atoms are sorted."""
    assert said in str(objection_to_tags(tags, ['Fe', 'O']))
