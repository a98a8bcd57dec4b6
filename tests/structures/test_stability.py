"""Decomposition energies against pymatgen's phase diagram."""

from __future__ import annotations

import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from aiida_dpasse.structures.stability import decomposition_energies

ENERGIES = {
    'Li': -1.9,
    'S': -4.1,
    'P': -5.3,
    'Li2S': -12.1,
    'P2S5': -34.9,
    'Li3PS4': -34.4,
    'Li7PS6': -58.9,
    'LiS': -6.1,
}


def test_energies_of_decomposition_are_those_of_pymatgen():
    compounds = {
        name: [str(e) for e in Composition(name).elements for _ in range(int(Composition(name)[e]))]
        for name in ENERGIES
    }
    found = decomposition_energies(compounds, ENERGIES)
    entries = {name: PDEntry(Composition(name), energy) for name, energy in ENERGIES.items()}
    diagram = PhaseDiagram(list(entries.values()))
    for name in ('Li2S', 'P2S5', 'Li3PS4', 'Li7PS6', 'LiS'):
        energy, mixture = found[name]
        assert energy == pytest.approx(diagram.get_phase_separation_energy(entries[name]), abs=1e-6)
        assert sum(mixture.values()) == pytest.approx(1)
    assert found['LiS'][0] > 0 > found['Li2S'][0]
    # Nothing else holds lithium alone.
    assert found['Li'] is None


def test_one_compound_cannot_fall_apart():
    assert decomposition_energies({'Li2S': ['Li', 'Li', 'S']}, {'Li2S': -12.0}) == {'Li2S': None}
