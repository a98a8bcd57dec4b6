"""Conversion of frames from and to pymatgen, ASE, dpdata, and structures and trajectories of AiiDA."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm

from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.deepmd.intake import Intake, pseudo_elements

if TYPE_CHECKING:
    import ase
    import dpdata
    from pymatgen.core import Structure

#: Data of a dpdata system that are read, or follow from others.
DPDATA = {'atom_names', 'atom_numbs', 'atom_types', 'orig', 'cells', 'coords', 'energies', 'forces', 'virials', 'nopbc'}


def check_ordered(structure: orm.StructureData) -> str | None:
    """Check that ``structure`` has no partial occupancies, which no potential can evaluate.

    :returns: one sentence that states the problem, or None.
    """
    if structure.is_alloy or structure.has_vacancies:
        return (
            f'The structure {structure.get_formula()} has partial occupancies: make ordered cells of it from its CIF, '
            'with `aiida-dpasse import structure`.'
        )
    return None


def sets_from_structures(structures: Iterable[orm.StructureData]) -> list[FrameSet]:
    """Return unlabelled frames from AiiDA structures.

    :raises ValueError: if a structure has partial occupancies.
    """
    found = []
    for structure in structures:
        if message := check_ordered(structure):
            raise ValueError(message)
        symbols = [structure.get_kind(site.kind_name).symbol for site in structure.sites]
        found.append(FrameSet.sort_atoms(symbols, [structure.cell], [[site.position for site in structure.sites]]))
    return concatenate(found)


def sets_to_ase(sets: Iterable[FrameSet]) -> list[ase.Atoms]:
    """Return every frame as ASE atoms, with a `SinglePointCalculator` if it is labelled.

    The stress is minus the virial divided by the volume.
    """
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.stress import full_3x3_to_voigt_6_stress

    found = []
    for item in sets:
        for index in range(len(item)):
            atoms = Atoms(item.symbols, positions=item.positions[index], cell=item.cells[index], pbc=True)
            results: dict[str, Any] = {}
            if item.energies is not None:
                results['energy'] = float(item.energies[index])
            if item.forces is not None:
                results['forces'] = item.forces[index]
            if item.virials is not None:
                results['stress'] = full_3x3_to_voigt_6_stress(-item.virials[index] / atoms.get_volume())
            if results:
                atoms.calc = SinglePointCalculator(atoms, **results)
            found.append(atoms)
    return found


def sets_from_pymatgen(structures: Iterable[Structure]) -> list[FrameSet]:
    """Return unlabelled frames from pymatgen structures.

    :raises ValueError: if a structure has partial occupancies.
    """
    found = []
    for structure in structures:
        if not structure.is_ordered:
            raise ValueError(
                f'The structure {structure.formula} has partial occupancies: make ordered cells of it first, with '
                '`aiida-dpasse import structure`.'
            )
        symbols = [site.specie.symbol for site in structure]
        found.append(FrameSet.sort_atoms(symbols, [structure.lattice.matrix], [structure.cart_coords]))
    return concatenate(found)


def sets_to_pymatgen(sets: Iterable[FrameSet]) -> list[Structure]:
    """Return every frame as a pymatgen structure."""
    from pymatgen.core import Structure

    return [
        Structure(cell, item.symbols, positions, coords_are_cartesian=True)
        for item in sets
        for cell, positions in zip(item.cells, item.positions, strict=True)
    ]


def sets_from_dpdata(
    system: dpdata.System | dpdata.MultiSystems,
    intake: Intake | None = None,
    where: str = 'system',
    type_map: Sequence[str] | None = None,
) -> list[FrameSet]:
    """Return frames from a dpdata system, labelled system or multi-system.

    :param system: the system.
    :param intake: account of what is dropped, changed or refused; without one, refused frames are an error.
    :param where: name of the file.
    :param type_map: elements in the order of the names of the system, for names that are no elements.
    :raises ValueError: if frames are refused and there is no account.
    """
    import dpdata

    members = list(system) if isinstance(system, dpdata.MultiSystems) else [system]
    account = Intake(minimum_distance=None, name_sources=False) if intake is None else intake
    found = []
    for member in members:
        data, names = member.data, list(member.data['atom_names'])
        if len(data['coords']) == 0:
            continue
        if type_map is not None and pseudo_elements(names) and len(type_map) == len(names):
            names = list(type_map)
        if data.get('nopbc') and account.is_open(where, len(data['coords'])):
            continue
        for name in sorted(set(data) - DPDATA):
            account.drop(f'`{name}`', where, len(data['coords']))
        symbols = [names[kind] for kind in data['atom_types']]
        labels = {name: data[name] for name in ('energies', 'forces', 'virials') if name in data}
        positions = data['coords'] - np.asarray(data['orig'])
        found += account.take(where, symbols, cells=data['cells'], positions=positions, **labels)
    if intake is None:
        account.close()
    return found


def sets_to_dpdata(sets: Iterable[FrameSet]) -> dpdata.MultiSystems:
    """Return the frames as a dpdata multi-system, with one member for each formula."""
    import dpdata

    systems = []
    for item in concatenate(sets):
        names = sorted(set(item.symbols))
        data: dict[str, Any] = {
            'atom_names': names,
            'atom_numbs': [item.symbols.count(name) for name in names],
            'atom_types': np.array([names.index(symbol) for symbol in item.symbols]),
            'orig': np.zeros(3),
            'cells': item.cells.copy(),
            'coords': item.positions.copy(),
        }
        for name in ('energies', 'forces', 'virials'):
            if getattr(item, name) is not None:
                data[name] = getattr(item, name).copy()
        systems.append((dpdata.LabeledSystem if item.labelled else dpdata.System)(data=data))
    return dpdata.MultiSystems(*systems)


def sets_from_trajectory(trajectory: orm.TrajectoryData) -> list[FrameSet]:
    """Return frames from an AiiDA trajectory, with its step ids and its energies, forces and virials as labels.

    :raises ValueError: if the trajectory has no cells.
    """
    cells = trajectory.get_cells()
    if cells is None:
        raise ValueError('The trajectory has no cells: frames need a periodic cell each.')
    names = trajectory.get_arraynames()
    labels = {name: trajectory.get_array(name) for name in ('energies', 'forces', 'virials') if name in names}
    steps = trajectory.get_stepids()
    return [FrameSet.sort_atoms(trajectory.symbols, cells, trajectory.get_positions(), steps=steps, **labels)]


def sets_to_trajectory(sets: Iterable[FrameSet]) -> orm.TrajectoryData:
    """Return frames of one formula as an AiiDA trajectory; labels become arrays of the same names.

    :raises ValueError: if the frames have several formulas or kinds of labels.
    """
    joined = concatenate(sets)
    if len(joined) != 1:
        raise ValueError('A trajectory holds one formula and one kind of labels: select frames of one formula first.')
    frames = joined[0]
    trajectory = orm.TrajectoryData()
    trajectory.set_trajectory(
        symbols=list(frames.symbols),
        positions=frames.positions,
        cells=frames.cells,
        stepids=frames.steps,
        pbc=(True,) * 3,
    )
    for name in ('energies', 'forces', 'virials'):
        if getattr(frames, name) is not None:
            trajectory.set_array(name, getattr(frames, name))
    return trajectory
