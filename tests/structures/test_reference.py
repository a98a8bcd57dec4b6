"""The sites of a refined crystal in a trajectory's cell: repeated, and moved to its origin."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from aiida_dpasse.structures.reference import place_sites
from aiida_dpasse.transport.occupancy import site_occupancies

#: Halides on fcc sites, with lithium on two kinds of sites.
SPECIES = [{'Cl': 0.5, 'Br': 0.5}, {'Li': 0.75}, {'Li': 0.25}]
UNIT = Structure.from_spacegroup('F-43m', Lattice.cubic(6.0), SPECIES, [[0, 0, 0], [0.25] * 3, [0.5] * 3])
CELL = 12.1 * np.eye(3)
SHIFT = np.array([0.13, 0.4, 0.77])


def labelled() -> Structure:
    """The crystal with labels as a CIF has them."""
    names = ['X' if 'Cl' in site.species_string else 'Li1' if '0.75' in site.species_string else 'Li2' for site in UNIT]
    return Structure(UNIT.lattice, UNIT.species_and_occu, UNIT.frac_coords, labels=names)


def trajectory(frames: int, seed: int):
    """Halides that vibrate about shifted sites, and lithium on 24 of 32 and 8 of 32 sites, anew in each frame."""
    generator = np.random.default_rng(seed)
    large = labelled().copy(site_properties={'named': labelled().labels}).make_supercell([2, 2, 2], in_place=False)
    names = np.array([site.properties['named'] for site in large])
    places = large.frac_coords + SHIFT
    hosts = places[names == 'X'] + generator.normal(scale=0.01, size=(32, 3))
    elements = ['Cl', 'Br'] * 16
    ions = []
    for _ in range(frames):
        chosen = [
            generator.choice(np.flatnonzero(names == name), size=n, replace=False)
            for name, n in (('Li1', 24), ('Li2', 8))
        ]
        ions.append((places[np.concatenate(chosen)] + generator.normal(scale=0.01, size=(32, 3))) @ CELL)
    return np.array(ions), hosts, elements


def test_occupancies_and_their_errors():
    ions, hosts, elements = trajectory(60, 1)
    places, labels = place_sites(labelled(), CELL, elements, hosts % 1.0, 'Li')
    found, elsewhere = site_occupancies(ions, CELL, places, labels)
    assert elsewhere == 0
    assert {each.label: (each.sites, each.occupancy) for each in found} == {'Li1': (32, 0.75), 'Li2': (32, 0.25)}
    assert all(each.error < 1e-12 for each in found)
    assert all(each.distance == pytest.approx(0.01 * 12.1 * np.sqrt(3), rel=0.15) for each in found)
    # One ion of the first sites is at none of them in the first two fifths of the run.
    ions[:24, 0] += [1.5, 0, 0]
    [first, _], elsewhere = site_occupancies(ions, CELL, places, labels)
    assert elsewhere == pytest.approx(24 / 60 / 32)
    assert first.occupancy == pytest.approx(0.75 - 24 / 60 / 32)
    assert first.error == pytest.approx(np.std([0, 0, 1, 1, 1], ddof=1) / np.sqrt(5) / 32)


@pytest.mark.parametrize(
    ('cell', 'ion', 'elements', 'sentence'),
    [
        (10.0 * np.eye(3), 'Li', ['Cl', 'Br'] * 16, 'no supercell'),
        (CELL, 'Na', ['Cl', 'Br'] * 16, 'no site of Na'),
        (CELL, 'Li', ['S', 'I'] * 16, 'no element in common'),
    ],
)
def test_other_crystals_are_refused(cell, ion, elements, sentence):
    _, hosts, _ = trajectory(1, 2)
    with pytest.raises(ValueError, match=sentence):
        place_sites(labelled(), cell, elements, hosts, ion)


def test_another_framework_is_refused():
    hosts = np.random.default_rng(3).random((32, 3))
    with pytest.raises(ValueError, match='on average'):
        place_sites(labelled(), CELL, ['Cl', 'Br'] * 16, hosts, 'Li')
