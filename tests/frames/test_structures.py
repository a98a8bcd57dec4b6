"""Calcfunctions on structures: each is one call of the science, and leaves a node that knows its creator."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.frames.exchange_sites import exchange_sites
from aiida_dpasse.frames.frames_from_structures import frames_from_structures
from aiida_dpasse.frames.make_supercell import make_supercell
from aiida_dpasse.frames.perturb_frames import perturb_frames
from aiida_dpasse.frames.perturb_structures import perturb_structures
from aiida_dpasse.frames.structures_from_frames import structures_from_frames
from aiida_dpasse.structures.prototypes import argyrodite, rock_salt

pytestmark = pytest.mark.usefixtures('aiida_profile')

PERTURB = {
    'supercell': [1, 1, 1],
    'scales': [0.98, 1.02],
    'perturbations': {'number': 3, 'cell_fraction': 0.02, 'displacement': 0.1, 'closest': 1.0},
    'seed': 5,
}


def node(structure) -> orm.StructureData:
    """A pymatgen structure as a node."""
    return orm.StructureData(pymatgen=structure)


def partial() -> orm.StructureData:
    """A structure with a half-occupied site."""
    structure = orm.StructureData(cell=np.eye(3) * 4)
    structure.append_atom(position=(0, 0, 0), symbols='Li', weights=0.5, name='Li')
    return structure


def test_make_supercell():
    result = make_supercell(node(rock_salt('Br')), orm.Dict({'supercell': 11.0}))
    assert result.get_formula() == 'Br32Li32'
    assert result.creator.process_label == 'make_supercell'
    with pytest.raises(ValueError, match='partial occupancies'):
        make_supercell(partial(), orm.Dict({'supercell': [1, 1, 1]}))


def test_exchange():
    structure = node(argyrodite('Cl'))
    exchanged = exchange_sites(structure, orm.Dict({'fraction': 0.5, 'seed': 2}))
    assert exchanged.get_formula() == structure.get_formula()
    again = exchange_sites(structure, orm.Dict({'fraction': 0.5, 'seed': 2}))
    assert exchanged.get_pymatgen() == again.get_pymatgen()


def test_perturb_structures_counts_sources_and_seeds():
    structures = {'lpscl': node(argyrodite('Cl', primitive=True)), 'libr': node(rock_salt('Br'))}
    frames = perturb_structures(orm.Dict(PERTURB), structures=structures)
    assert frames.formulas == {'Br4Li4': 6, 'Cl1Li6P1S5': 6}
    assert not frames.labelled
    salt, electrolyte = frames.sets()
    assert set(salt.sources) == {'libr'}
    assert [float(reason.split()[-1]) for reason in electrolyte.reasons] == [0.98] * 3 + [1.02] * 3
    assert perturb_structures(orm.Dict(PERTURB), structures=structures).ids() == frames.ids()
    assert perturb_structures(orm.Dict({**PERTURB, 'seed': 6}), structures=structures).ids() != frames.ids()
    # A structure's frames do not depend on what else is in the study.
    assert perturb_structures(orm.Dict(PERTURB), structures={'libr': structures['libr']}).ids() == frames.ids()[:6]


def test_a_structure_may_have_any_label():
    structures = {label: node(rock_salt('Br')) for label in ('parameters', 'metadata', 'structures')}
    frames = perturb_structures(orm.Dict(PERTURB), structures=structures)
    sources = [str(source) for item in frames.sets() for source in item.sources]
    assert {label: sources.count(label) for label in structures} == dict.fromkeys(structures, 6)
    crystals = frames_from_structures(structures=structures).sets()
    assert sorted(str(source) for item in crystals for source in item.sources) == sorted(structures)


def test_perturb_frames_keeps_where_they_come_from():
    frames = perturb_structures(orm.Dict(PERTURB), structures={'libr': node(rock_salt('Br'))})
    parameters = {'number': 2, 'cell_fraction': 0.01, 'displacement': 0.05, 'closest': 1.0, 'seed': 3}
    copies = perturb_frames(frames, orm.Dict(parameters))
    assert copies.frames == 12
    [item] = copies.sets()
    assert set(item.sources) == {'libr'}
    [start] = frames.sets()
    assert list(item.reasons) == [f'perturbed from {identity}' for identity in np.repeat(start.ids, 2)]
    volumes, starts = np.linalg.det(item.cells), np.repeat(np.linalg.det(start.cells), 2)
    assert np.abs(volumes / starts - 1).max() < 0.04
    assert perturb_frames(frames, orm.Dict(parameters)).ids() == copies.ids()
    assert len(set(copies.ids())) == 12


def test_structures_from_frames():
    frames = FramesData.from_structures([node(rock_salt('Br')), node(argyrodite('Cl'))]).store()
    everything, process = run_get_node(structures_from_frames, frames=frames, parameters=orm.Dict({}))
    assert process.is_finished_ok
    assert [everything[label].get_formula() for label in ('frame_0000', 'frame_0001')] == [
        'Br4Li4',
        'Cl4Li24P4S20',
    ]
    one = structures_from_frames(frames, orm.Dict({'indices': [1]}))
    assert list(one) == ['frame_0000']
    assert one['frame_0000'].get_formula() == 'Cl4Li24P4S20'
    with pytest.raises(ValueError, match='`indices`: 2'):
        structures_from_frames(frames, orm.Dict({'indices': [0, 2]}))


def test_a_supercell_keeps_kinds_and_their_masses():
    unit = orm.StructureData(cell=(4.0 * np.eye(3)).tolist())
    unit.append_atom(symbols='Li', name='Li6', mass=6.015, position=(0, 0, 0))
    unit.append_atom(symbols='Li', name='Li60', mass=60.0, position=(2, 2, 2))
    unit.append_atom(symbols='Cl', mass=37.0, position=(2, 0, 0))
    cell = make_supercell(unit, orm.Dict({'supercell': [2, 1, 1]}))
    assert {kind.name: (kind.symbol, kind.mass) for kind in cell.kinds} == {
        'Li6': ('Li', 6.015),
        'Li60': ('Li', 60.0),
        'Cl': ('Cl', 37.0),
    }
    names = [site.kind_name for site in cell.sites]
    assert sorted(names) == ['Cl', 'Cl', 'Li6', 'Li6', 'Li60', 'Li60']
    np.testing.assert_allclose(np.diag(cell.cell), [8, 4, 4])


def test_structures_from_the_frames_of_a_source():
    """Frames of two structures with one formula lie in one set, and are drawn by their sources."""
    frames = perturb_structures(orm.Dict(PERTURB), structures={name: node(rock_salt('Br')) for name in ('a', 'b')})
    [item] = frames.sets()
    drawn = [{'source': 'b', 'number': 1}, {'source': 'a', 'number': 4}]
    found = structures_from_frames(frames, orm.Dict({'drawn': drawn}))
    for name, draw in zip(('frame_0000', 'frame_0001'), drawn, strict=True):
        expected = item.positions[list(item.sources).index(draw['source']) + draw['number']]
        assert np.allclose([site.position for site in found[name].sites], expected)
