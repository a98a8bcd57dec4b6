"""The table of measured conductivities, and what is found in it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pymatgen.core.composition import Composition

from aiida_dpasse.experiment.measured import EQUAL, TOLERANCE, distance, find, nearest, read_formula, table, version

OBELIX = Path(__file__).parents[3] / 'shared' / 'data' / 'OBELiX' / 'all.csv'
#: Ranges in S/cm, as the data set's own description gives them.
KNOWN = {
    'Li6PS5Cl': (3.3e-5, 2.05e-3, 3),
    'Li6PS5Br': (3.2e-5, 2.77e-3, 4),
    'Li6PS5I': (1.26e-6, 2.2e-4, 3),
    'Li10GeP2S12': (1.43e-3, 2.46e-2, 5),
    'Li7P3S11': (3.2e-3, 8.6e-3, 2),
    'Li10SnP2S12': (3.73e-3, 7e-3, 4),
    'Li10SiP2S12': (2.3e-3, 2.3e-3, 1),
}


@pytest.mark.skipif(not OBELIX.is_file(), reason='OBELiX is not beside this repository')
def test_every_row_is_that_of_the_source():
    with OBELIX.open(encoding='utf8') as lines:
        source = {row['ID']: row for row in csv.DictReader(lines)}
    for sample in table():
        row = source[sample.id]
        value = row['Ionic conductivity (S cm-1)']
        assert sample.censored == value.startswith('<')
        assert sample.conductivity == pytest.approx(1e3 * float(value.lstrip('<')), rel=1e-9)
        assert distance(Composition(sample.formula), Composition(row['True Composition'])) < 2e-3
        assert row['Space group'].replace(' ', '').startswith(sample.space_group)
        assert sample.doi == row['DOI'].strip().lower()


def test_the_table_is_complete():
    assert len({sample.id for sample in table()}) == len(table()) > 200
    assert all(sample.doi and sample.conductivity > 0 for sample in table())
    assert sum(sample.censored for sample in table()) == 8
    assert len(version()) == 12


@pytest.mark.parametrize('formula', KNOWN)
def test_known_ranges(formula):
    low, high, count = KNOWN[formula]
    found = find(formula)
    assert (found.exact, len(found.samples)) == (True, count)
    assert found.range == pytest.approx((1e3 * low, 1e3 * high))
    assert found.sources


def test_formula_units_do_not_matter_and_similar_compositions_are_found():
    exact = find('Li6PS5Cl')
    assert find('Li24P4S20Cl4').samples == find('Cl4Li24P4S20').samples == exact.samples
    similar = find('Li5.9PS4.9Cl1.1')
    assert (similar.samples, similar.exact) == (exact.samples, False)
    # Another order of magnitude of conductivity, and another element.
    assert find('Li5.5PS4.5Cl1.5').samples == find('Li6PS5F').samples == ()
    assert find('Li10.2Ge1.2P1.8S12').samples[0].id == '8po'


def test_distance_is_the_part_of_the_atoms_that_differs():
    lgps = Composition('Li10GeP2S12')
    assert distance(lgps, Composition('Li20Ge2P4S24')) == pytest.approx(0)
    assert distance(lgps, Composition('Li10SnP2S12')) == pytest.approx(1 / 25)
    assert distance(Composition('Li'), Composition('Cl')) == 1
    off = distance(Composition('Li6PS5Cl'), Composition('Li5.9PS4.9Cl1.1'))
    assert EQUAL < off < TOLERANCE < distance(lgps, Composition('Li10.2Ge1.2P1.8S12'))


def test_upper_bounds():
    found = find('Li2PO2N')
    [sample] = found.samples
    assert (sample.censored, sample.text, found.range) == (True, '<1e-07', (None, 1e-7))
    assert found.overlaps(1e-9, 2e-9)
    assert not found.overlaps(1e-6, 2e-6)


def test_an_interval_is_placed_in_the_range():
    found = find('Li6PS5Cl')
    assert [found.overlaps(*interval) for interval in ((1, 3), (2.05, 9), (3, 9), (0.001, 0.01))] == [1, 1, 0, 0]
    assert [found.comparison(*interval).split()[4] for interval in ((3, 9), (0.001, 0.01))] == ['above', 'below']
    numbers = found.to_dict((3, 9))
    assert numbers['measured_mS_cm'] == {'low': 0.033, 'high': 2.05, 'count': 3, 'exact': True}
    assert (numbers['measured_overlap'], numbers['measured_table']) == (False, version())
    assert len(numbers['measured_sources']) == 3
    missing = find('K3SbS4')
    assert missing.overlaps(1, 2) is None
    assert missing.to_dict()['measured_mS_cm'] is None
    assert missing.sentence == missing.comparison(1, 2) == ''


def test_nearest_compositions_each_once():
    found = nearest('Li5.5PS4.5Cl1.5', 3)
    assert [measured.formula for measured, _ in found] == ['Li6PS5Cl', 'Li6PS5Cl0.75Br0.25', 'Li6PS5Cl0.5Br0.5']
    assert [len(measured.samples) for measured, _ in found] == [3, 1, 1]
    assert found[0][1] < found[1][1] < found[2][1]


@pytest.mark.parametrize('formula', ['', 'foo', '12', 'Li-S', 'Li6PS5Cl)'])
def test_no_formula_is_refused(formula):
    with pytest.raises(ValueError, match='not a chemical formula'):
        read_formula(formula)
