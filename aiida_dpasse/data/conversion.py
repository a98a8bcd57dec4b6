"""Conversion of frames from and to pymatgen, ASE, dpdata, and structures and trajectories of AiiDA."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida import orm

from aiida_dpasse.deepmd.frameset import FrameSet, concatenate

if TYPE_CHECKING:
    import ase
    import dpdata
    from pymatgen.core import Structure


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


def sets_from_ase(atoms: Iterable[ase.Atoms]) -> list[FrameSet]:
    """Return frames from ASE atoms, with the results of their calculators as labels."""
    found = []
    for item in atoms:
        results = {} if item.calc is None else item.calc.results
        labels: dict[str, Any] = {}
        if 'energy' in results:
            labels['energies'] = [results['energy']]
        if 'forces' in results:
            labels['forces'] = [results['forces']]
        if 'stress' in results:
            labels['virials'] = [-item.get_volume() * item.get_stress(voigt=False)]
        found.append(
            FrameSet.sort_atoms(item.get_chemical_symbols(), [np.asarray(item.cell)], [item.get_positions()], **labels)
        )
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


def sets_from_dpdata(system: dpdata.System | dpdata.MultiSystems) -> list[FrameSet]:
    """Return frames from a dpdata system, labelled system or multi-system."""
    import dpdata

    members = list(system) if isinstance(system, dpdata.MultiSystems) else [system]
    found = []
    for member in members:
        data = member.data
        symbols = [data['atom_names'][kind] for kind in data['atom_types']]
        labels = {name: data[name] for name in ('energies', 'forces', 'virials') if name in data}
        positions = data['coords'] - np.asarray(data['orig'])
        found.append(FrameSet.sort_atoms(symbols, data['cells'], positions, **labels))
    return found


def sets_from_file(path: str | Path, fmt: str, **kwargs: Any) -> list[FrameSet]:
    """Return frames from a file or folder in any format of dpdata, with labels if the format has them.

    :param path: file or folder.
    :param fmt: format, as named by dpdata.
    :param kwargs: further arguments of dpdata's reader.
    :raises ValueError: if dpdata does not know the format or cannot read the file.
    """
    import dpdata
    from dpdata.format import Format

    formats = Format.get_formats()
    if fmt not in formats:
        raise ValueError(f'`{fmt}` is no format of dpdata: take one of {", ".join(sorted(formats))}.')
    # A format may or may not contain labels and several formulas: the reader that returns most is tried first.
    readers = {
        'from_multi_systems': lambda: dpdata.MultiSystems().load_systems_from_file(str(path), fmt=fmt, **kwargs),
        'from_labeled_system': lambda: dpdata.LabeledSystem(str(path), fmt=fmt, **kwargs),
        'from_system': lambda: dpdata.System(str(path), fmt=fmt, **kwargs),
    }
    reason: Exception | None = None
    for method, read in readers.items():
        if getattr(formats[fmt], method) is getattr(Format, method):
            continue
        try:
            return sets_from_dpdata(read())
        except Exception as exception:  # dpdata's readers raise exceptions of any type for a broken file
            reason = exception
    raise ValueError(f'`{Path(path).name}` could not be read as `{fmt}`: {reason}.') from reason


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
