"""The calcfunction that dopes: cells that know their host and what was asked."""

from __future__ import annotations

import pytest
from aiida import orm

from aiida_dpasse.frames.dope import dope
from aiida_dpasse.structures import doping
from aiida_dpasse.structures.prototypes import prototype

pytestmark = pytest.mark.usefixtures('aiida_profile')


def test_cells_have_the_host_as_input_and_the_numbers_beside_them():
    host = orm.StructureData(pymatgen=prototype('K3SbS4').structure)
    parameters = {'substitute': ['S=Cl:1/32'], 'compensate': 'K', 'cells': 3, 'seed': 4}
    outputs = dope(host, orm.Dict(parameters))
    assert sorted(outputs) == ['cell_0000', 'cell_0001', 'cell_0002', 'doping']
    for cell in (outputs[key] for key in outputs if key != 'doping'):
        assert cell.get_composition() == {'K': 23, 'Sb': 8, 'S': 31, 'Cl': 1}
        assert cell.creator.inputs.structure.uuid == host.uuid
    known = outputs['doping'].get_dict()
    assert known['composition'] == {'K': 23, 'Sb': 8, 'S': 31, 'Cl': 1}
    assert (known['charge'], known['arrangements'], known['distinct']) == (0, '768', 14)
    assert known['selection'] == 'enumerated'
    assert len(known['degeneracies']) == len(known['weights']) == len(known['energies_eV']) == 3
    # The same inputs give the same cells, with or without AiiDA.
    alone = doping.dope(prototype('K3SbS4').structure, **parameters)
    assert [cell.degeneracy for cell in alone.cells] == known['degeneracies']


def test_a_disordered_host_keeps_its_occupancies():
    host = orm.StructureData(pymatgen=prototype('Li10GeP2S12').structure)
    outputs = dope(host, orm.Dict({'substitute': ['Ge=Sn:1/2']}))
    assert outputs['cell_0000'].get_composition() == {'Li': 20, 'Ge': 1, 'Sn': 1, 'P': 4, 'S': 24}


def test_a_request_that_cannot_be_met_is_refused():
    with pytest.raises(ValueError, match='for example by K'):
        dope(orm.StructureData(pymatgen=prototype('K3SbS4').structure), orm.Dict({'substitute': ['S=Cl:1']}))
