"""A disordered CIF is the stored input of its ordered cells."""

from __future__ import annotations

import io

import pytest
from aiida import orm
from aiida.engine import run_get_node
from cif_text import cif

from aiida_dpasse.frames.order_crystal import order_crystal

pytestmark = pytest.mark.usefixtures('aiida_profile')

#: One Li on either of two sites, 0.5 A apart.
HALVES = cif('Li1 Li 0 0 0 0.5\nLi2 Li 0.1 0 0 0.5\nCl1 Cl 0.5 0.5 0.5 1\n')


def test_cells_come_from_the_stored_cif():
    cif = orm.SinglefileData(io.BytesIO(HALVES.encode()), filename='li_half.cif')
    outputs, process = run_get_node(order_crystal, cif=cif, parameters=orm.Dict({'cells': 2, 'seed': 3}))
    assert process.is_finished_ok
    assert process.inputs.cif.get_content() == HALVES
    cells = {name: node for name, node in outputs.items() if name.startswith('cell_')}
    ordering = outputs['ordering'].get_dict()
    assert len(cells) == len(ordering['weights']) >= 1
    assert sum(ordering['weights']) == pytest.approx(1)
    for cell in cells.values():
        assert cell.get_composition() == {'Li': 2, 'Cl': 2}
        assert cell.creator == process
        first, second = (site.position[0] % 5.0 for site in cell.sites if site.kind_name == 'Li')
        assert abs(first - second) == pytest.approx(0.5)
    assert {(each['label'], each['atoms']) for each in ordering['occupancies']} == {('Li1', 1), ('Li2', 1)}
    again = order_crystal(cif, orm.Dict({'cells': 2, 'seed': 3}))
    assert again['cell_0000'].base.caching.compute_hash() == cells['cell_0000'].base.caching.compute_hash()


def test_refusals():
    with pytest.raises(ValueError, match='no positions'):
        order_crystal(orm.SinglefileData(io.BytesIO(b'data_x'), filename='x.cif'), orm.Dict({}))
