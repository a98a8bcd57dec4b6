"""`FramesData`: labelled or unlabelled atomic configurations, stored as a DeePMD-kit dataset."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import ase
import numpy as np
from aiida import orm
from aiida.common.exceptions import ValidationError
from numpy.typing import NDArray

from aiida_dpasse.data import conversion
from aiida_dpasse.data.atoms import sets_from_atoms
from aiida_dpasse.data.reading import read_files
from aiida_dpasse.data.writing import write_frames
from aiida_dpasse.deepmd.arrays import NUMBERS, TEXTS, read_array, read_header
from aiida_dpasse.deepmd.dataset import TEXT_ARRAYS, read_set, write_dataset, write_mixed
from aiida_dpasse.deepmd.frameset import LABELS, FrameSet, check_names, formula_of
from aiida_dpasse.deepmd.intake import MINIMUM_DISTANCE, Intake, pseudo_elements
from aiida_dpasse.quoting import line as quoted
from aiida_dpasse.unreadable import UnreadableError, reading

if TYPE_CHECKING:
    import dpdata
    from pymatgen.core import Structure


#: Files of a formula, beside its sets.
TYPES = ('type.raw', 'type_map.raw')
#: Names of the sets of a formula, and of the files of a set.
_SET, _FILE = re.compile(r'set\.\d{1,9}', re.ASCII), re.compile(r'[A-Za-z]\w{0,30}\.npy', re.ASCII)
#: Size of the largest type.raw in bytes.
_LARGEST_TYPES = 64 << 20
#: Nodes whose attributes, and whose ids, were compared with their files; stored nodes do not change.
_CHECKED: set[str] = set()
_HASHED: set[str] = set()


def _size(handle: IO[bytes]) -> int:
    """Return the size of an open file in bytes, and go back to its beginning."""
    size = handle.seek(0, 2)
    handle.seek(0)
    return size


class FramesData(orm.FolderData):
    """Frames of any number of compositions, each with an identity, an origin and, optionally, labels.

    The repository contains one directory for each formula with ``type.raw``, ``type_map.raw`` and one ``set.NNNN`` for
    each source (see :class:`~aiida_dpasse.deepmd.frameset.FrameSet` for arrays and units), which DeePMD-kit reads
    without conversion. Frames are numbered in the order of directories and sets, sorted by name.
    """

    KEY_FRAMES = 'frames'
    KEY_FORMULAS = 'formulas'
    KEY_ELEMENTS = 'elements'
    KEY_LABELS = 'labels'
    KEY_ATOMS = 'atoms'
    KEY_ENERGY_RANGE = 'energy_range'
    KEY_LARGEST_FORCE = 'largest_force'
    KEY_NOTES = 'notes'

    def __init__(self, sets: Iterable[FrameSet] | None = None, notes: Sequence[str] = (), **kwargs: Any):
        """Construct from frame sets.

        :param sets: the frames; each member becomes one ``set.NNNN`` of its formula.
        :param notes: what an import dropped, left out or changed, one sentence each.
        :raises ValueError: if there are no frames, or they are invalid; the message is one sentence.
        """
        super().__init__(**kwargs)
        if sets is not None:
            self._fill(list(sets))
        if notes:
            self.base.attributes.set(self.KEY_NOTES, list(notes))

    def _fill(self, sets: list[FrameSet]) -> None:
        sets = [item for item in sets if len(item)]
        if not sets:
            raise UnreadableError('There are no frames: give at least one.')
        if names := pseudo_elements(symbol for item in sets for symbol in item.symbols):
            raise UnreadableError(f'`{quoted(names[0])}` is no element: name the atoms by their elements.')
        with tempfile.TemporaryDirectory() as directory:
            write_dataset(sets, directory)
            self.base.repository.put_object_from_tree(directory)
        self._describe([self._attributes_of(item) for item in sets])

    @classmethod
    def _attributes_of(cls, item: FrameSet) -> dict[str, Any]:
        """Return the attributes of a node with one set."""
        found = {
            cls.KEY_FORMULAS: {item.formula: len(item)},
            cls.KEY_ELEMENTS: sorted(set(item.symbols)),
            cls.KEY_LABELS: list(item.labels),
            cls.KEY_ATOMS: len(item) * item.natoms,
        }
        if item.energies is not None:
            per_atom = item.energies / item.natoms
            found[cls.KEY_ENERGY_RANGE] = [float(per_atom.min()), float(per_atom.max())]
        if item.forces is not None:
            found[cls.KEY_LARGEST_FORCE] = float(np.linalg.norm(item.forces, axis=-1).max())
        return found

    def _describe(self, parts: Sequence[Mapping[str, Any]]) -> None:
        """Set the attributes.

        :param parts: attributes of the sets or nodes of which this one consists.
        """
        formulas: Counter[str] = Counter()
        for part in parts:
            formulas.update(part[self.KEY_FORMULAS])
        labels = [label for label in LABELS if all(label in part[self.KEY_LABELS] for part in parts)]
        attributes: dict[str, Any] = {
            self.KEY_FRAMES: formulas.total(),
            self.KEY_FORMULAS: dict(sorted(formulas.items())),
            self.KEY_ELEMENTS: sorted({element for part in parts for element in part[self.KEY_ELEMENTS]}),
            self.KEY_LABELS: labels,
            self.KEY_ATOMS: sum(part[self.KEY_ATOMS] for part in parts),
        }
        if 'energy' in labels:
            lowest, highest = zip(*(part[self.KEY_ENERGY_RANGE] for part in parts), strict=True)
            attributes[self.KEY_ENERGY_RANGE] = [min(lowest), max(highest)]
        if 'force' in labels:
            attributes[self.KEY_LARGEST_FORCE] = max(part[self.KEY_LARGEST_FORCE] for part in parts)
        self.base.attributes.set_many(attributes)

    def _validate(self) -> bool:
        """Check, before storing, that the repository is a valid dataset and matches the attributes."""
        super()._validate()
        try:
            sets = self.sets()
        except (ValueError, OSError) as exception:
            raise ValidationError(str(exception)) from exception
        if self.base.attributes.get(self.KEY_FRAMES, None) != sum(len(item) for item in sets):
            raise ValidationError('The attributes do not count the frames of the files: build it with `from_sets`.')
        return True

    # -- what an archive claims -------------------------------------------------------------------------------------

    def check(self) -> None:
        """Compare what the attributes state with the files, once for each stored node.

        The attributes of an archive are imported as they are. Formulas and numbers of frames follow from the types of
        the atoms and from the headers of the arrays, none of which is read.

        :raises UnreadableError: in one sentence that names the node, if they differ, or a file is damaged.
        """
        if not self.is_stored or self.uuid in _CHECKED:
            return
        try:
            found = self._found()
        except UnreadableError as error:
            raise UnreadableError(f'The node {self.pk} is damaged, import its frames anew: {error}') from error
        for key, value in found.items():
            if (stated := self.base.attributes.get(key, None)) != value:
                raise UnreadableError(
                    f'The node {self.pk} states {key} that are not those of its files ({quoted(stated)[:200]} instead '
                    f'of {quoted(value)[:200]}): do not use it, and ask whoever gave you its archive.'
                )
        _CHECKED.add(self.uuid)

    def _found(self) -> dict[str, Any]:
        """Return the attributes that follow from the names and the headers of the files."""
        repository = self.base.repository
        formulas: dict[str, int] = {}
        elements: set[str] = set()
        labels = list(LABELS)
        atoms = 0
        for formula, sets in self.set_names().items():
            types, type_map = self._types(formula)
            symbols = sorted(type_map[types].tolist())
            if formula != formula_of(symbols) or not len(symbols):
                raise UnreadableError(f'the folder `{quoted(formula)}` holds {formula_of(symbols)[:200]}.')
            elements |= set(symbols)
            if set(repository.list_object_names(formula)) != {*TYPES, *sets}:
                raise UnreadableError(f'the folder `{formula}` holds files that are no part of a dataset.')
            formulas[formula] = 0
            for path in (f'{formula}/{name}' for name in sets):
                names = repository.list_object_names(path)
                if not _SET.fullmatch(path.partition('/')[2]) or not all(_FILE.fullmatch(name) for name in names):
                    raise UnreadableError(f'the folder `{quoted(path)}` holds files that are no arrays.')
                counts = {name: self._length(path, name, names) for name in ('box', 'coord', 'id')}
                if len(set(counts.values())) != 1:
                    raise UnreadableError(f'the arrays of `{path}` hold different numbers of frames.')
                formulas[formula] += counts['box']
                atoms += counts['box'] * len(symbols)
                labels = [label for label in labels if f'{label}.npy' in names]
        return {
            self.KEY_FRAMES: sum(formulas.values()),
            self.KEY_FORMULAS: formulas,
            self.KEY_ELEMENTS: sorted(elements),
            self.KEY_LABELS: labels,
            self.KEY_ATOMS: atoms,
        }

    def _length(self, path: str, name: str, names: Sequence[str]) -> int:
        if f'{name}.npy' not in names:
            raise UnreadableError(f'`{path}` lacks the array `{name}`.')
        file = f'{path}/{name}.npy'
        with self.base.repository.open(file, 'rb') as handle:
            shape, *_ = read_header(handle, _size(handle), file)
        return shape[0] if shape else 0

    # -- construction -----------------------------------------------------------------------------------------------

    @classmethod
    def from_sets(cls, sets: Iterable[FrameSet]) -> FramesData:
        """Return an unstored node of ``sets``."""
        return cls(sets=sets)

    @classmethod
    def from_files(
        cls,
        paths: Iterable[str | Path],
        fmt: str | None = None,
        *,
        type_map: Sequence[str] | None = None,
        keys: Mapping[str, str] | None = None,
        skip: bool = False,
        periodic: bool = False,
        minimum_distance: float | None = MINIMUM_DISTANCE,
        **arguments: Any,
    ) -> FramesData:
        """Import files and folders: DeePMD-kit (npy, mixed, raw, HDF5), extxyz, output of VASP and CP2K, and all
        formats of dpdata and ASE.

        What is dropped, left out or changed is in `notes`, and a warning for each line.

        :param paths: files, datasets, folders of runs.
        :param fmt: ``deepmd``, ``extxyz``, ``vasp``, ``cp2k``, or a format as named by dpdata or ASE; by default it is
            recognised for each path.
        :param type_map: elements in the order of the atom types, for files that only number these or whose names are no
            elements.
        :param keys: name in the file of ``energy`` (eV), ``forces`` (eV/A), ``virial`` (eV) or ``stress`` (eV/A^3, with
            the sign of ASE), for extxyz and formats of ASE; no other labels are read then.
        :param skip: leave out refused frames: those with open boundaries, partial occupancies, names that are no
            elements, numbers that are not finite, no cell, or overlapping atoms.
        :param periodic: take frames with open boundaries as periodic with the cell of their file.
        :param minimum_distance: shortest distance of two atoms in A that is taken; None takes all.
        :param arguments: further arguments of dpdata's reader.
        :raises ValueError: in one sentence, if a file cannot be read, or frames are refused and not skipped.
        """
        intake = Intake(periodic, minimum_distance)
        return cls._taken(read_files(paths, intake, fmt, type_map, keys, **arguments), intake, skip)

    @classmethod
    def from_file(cls, path: str | Path, fmt: str | None = None, **options: Any) -> FramesData:
        """Import one file or folder, for example ``from_file('OUTCAR', 'vasp/outcar')``.

        :param path: file or folder.
        :param fmt: format; by default it is recognised.
        :param options: as those of `from_files`.
        :raises ValueError: as `from_files`.
        """
        return cls.from_files([path], fmt, **options)

    @classmethod
    def from_directory(cls, directory: str | Path, type_map: Sequence[str] | None = None, **options: Any) -> FramesData:
        """Import a DeePMD-kit dataset, in npy, mixed or raw layout.

        :param directory: folder that is or contains systems, such as a work folder of DP-GEN.
        :param type_map: elements in the order of the types, for systems without ``type_map.raw``.
        :param options: as those of `from_files`.
        :raises ValueError: as `from_files`, or if there is no system.
        """
        return cls.from_files([directory], 'deepmd', type_map=type_map, **options)

    @classmethod
    def _taken(cls, sets: list[FrameSet], intake: Intake, skip: bool) -> FramesData:
        """Return the node of the frames that were taken; the notes of the account are kept and given as warnings."""
        notes = intake.close(skip)
        for line in notes:
            warnings.warn(line, stacklevel=3)
        return cls(sets=sets, notes=notes)

    @classmethod
    def from_structures(cls, structures: Iterable[orm.StructureData]) -> FramesData:
        """Create unlabelled frames from AiiDA structures.

        :raises ValueError: if a structure has partial occupancies.
        """
        return cls(sets=conversion.sets_from_structures(structures))

    @classmethod
    def from_ase(
        cls,
        atoms: Iterable[ase.Atoms],
        keys: Mapping[str, str] | None = None,
        *,
        skip: bool = False,
        periodic: bool = False,
        minimum_distance: float | None = MINIMUM_DISTANCE,
    ) -> FramesData:
        """Create frames from ASE atoms; parameters, notes and errors as for `from_files`.

        Labels are the results of the calculators, or the entries of ``info`` and ``arrays`` named by ``keys``.
        """
        intake = Intake(periodic, minimum_distance, name_sources=False)
        return cls._taken(sets_from_atoms(atoms, intake, keys), intake, skip)

    @classmethod
    def from_pymatgen(cls, structures: Iterable[Structure]) -> FramesData:
        """Create unlabelled frames from pymatgen structures.

        :raises ValueError: if a structure has partial occupancies.
        """
        return cls(sets=conversion.sets_from_pymatgen(structures))

    @classmethod
    def from_dpdata(
        cls,
        system: dpdata.System | dpdata.MultiSystems,
        type_map: Sequence[str] | None = None,
        *,
        skip: bool = False,
        periodic: bool = False,
        minimum_distance: float | None = MINIMUM_DISTANCE,
    ) -> FramesData:
        """Create frames from a dpdata system, labelled system or multi-system; parameters, notes and errors as for
        `from_files`.
        """
        intake = Intake(periodic, minimum_distance, name_sources=False)
        return cls._taken(conversion.sets_from_dpdata(system, intake, type_map=type_map), intake, skip)

    @classmethod
    def from_trajectory(cls, trajectory: orm.TrajectoryData) -> FramesData:
        """Create frames from an AiiDA trajectory; its ``energies``, ``forces`` and ``virials`` become labels, step ids
        are kept.
        """
        return cls(sets=conversion.sets_from_trajectory(trajectory))

    @classmethod
    def union(cls, nodes: Iterable[FramesData]) -> FramesData:
        """Merge the sets of ``nodes`` in the given order; sets are renumbered, arrays are not rewritten.

        :raises ValueError: if there are no nodes.
        """
        members, union = list(nodes), cls()
        if not members:
            raise UnreadableError('There are no frames: give at least one node.')
        for node in members:
            node.check()
        counts: Counter[str] = Counter()
        for node in members:
            repository = node.base.repository
            paths = {f'{formula}/{name}': f'{formula}/{name}' for formula in node.formulas for name in TYPES}
            for path in node._set_paths():
                formula = path.partition('/')[0]
                place = f'{formula}/set.{counts[formula]:04d}'
                counts[formula] += 1
                paths |= {f'{path}/{name}': f'{place}/{name}' for name in repository.list_object_names(path)}
            for path, place in paths.items():
                with repository.open(path, 'rb') as handle:
                    union.base.repository.put_object_from_filelike(handle, place)
        union._describe([node.base.attributes.all for node in members])
        return union

    # -- reading ----------------------------------------------------------------------------------------------------

    def set_names(self) -> dict[str, list[str]]:
        """Return the names of the sets of each formula."""
        repository = self.base.repository
        return {
            formula: sorted(name for name in repository.list_object_names(formula) if name.startswith('set.'))
            for formula in sorted(repository.list_object_names())
        }

    def sets(self) -> list[FrameSet]:
        """Return the frames, one member per set.

        :raises UnreadableError: as `check`.
        """
        self.check()
        return [item for path in self._set_paths() for item in self._read(path)]

    def _read(self, path: str) -> list[FrameSet]:
        names = self.base.repository.list_object_names(path)
        types, type_map = self._types(path.partition('/')[0])

        def load(name: str) -> NDArray[Any] | None:
            return self._array(f'{path}/{name}.npy') if f'{name}.npy' in names else None

        return read_set(path, load, types, type_map)

    def _types(self, formula: str) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
        """Return the type of each atom of a formula, (natoms,), and its elements in the order of the types."""
        parts = []
        for name in TYPES:
            with self.base.repository.open(f'{formula}/{name}', 'rb') as handle:
                if _size(handle) > _LARGEST_TYPES:
                    raise UnreadableError(f'`{quoted(formula)}/{name}` is too large.')
                with reading(f'{formula}/{name}', 'copy it again'):
                    parts.append(handle.read().decode('ascii').split())
        check_names(parts[1], formula)
        with reading(f'{formula}/{TYPES[0]}', 'copy it again'):
            types, type_map = np.array(parts[0], dtype=np.int64), np.array(parts[1])
        if len(types) and not (types.min() >= 0 and types.max() < len(type_map)):
            raise UnreadableError(f'`{quoted(formula)}/{TYPES[0]}` holds types that have no name in {TYPES[1]}.')
        return types, type_map

    @property
    def frames(self) -> int:
        """Number of frames."""
        self.check()
        return int(self.base.attributes.get(self.KEY_FRAMES))

    @property
    def atoms(self) -> int:
        """Total number of atoms in all frames."""
        self.check()
        return int(self.base.attributes.get(self.KEY_ATOMS))

    @property
    def formulas(self) -> dict[str, int]:
        """Number of frames of each formula."""
        self.check()
        return dict(self.base.attributes.get(self.KEY_FORMULAS))

    @property
    def elements(self) -> list[str]:
        """Elements of all frames, sorted."""
        self.check()
        return list(self.base.attributes.get(self.KEY_ELEMENTS))

    @property
    def labels(self) -> list[str]:
        """Labels among energy, force and virial that every frame has."""
        self.check()
        return list(self.base.attributes.get(self.KEY_LABELS))

    @property
    def labelled(self) -> bool:
        """Whether every frame has an energy and forces."""
        return {'energy', 'force'} <= set(self.labels)

    @property
    def notes(self) -> list[str]:
        """One sentence for each kind of data that an import dropped, left out or changed."""
        return [quoted(note) for note in self.base.attributes.get(self.KEY_NOTES, [])]

    def ids(self) -> list[str]:
        """Return the identity of every frame, a hash of its symbols, cell and positions; labels are not read.

        :raises UnreadableError: as `check`, or if an identity in the files is not that of its frame.
        """
        self.check()
        if self.uuid in _HASHED:
            return [str(name) for path in self._set_paths() for name in self._array(f'{path}/id.npy')]
        found: list[str] = []
        for path in self._set_paths():
            types, type_map = self._types(path.partition('/')[0])
            arrays = {name: self._array(f'{path}/{name}.npy') for name in ('coord', 'box', 'id')}
            [item] = read_set(path, {name: arrays[name] for name in ('coord', 'box')}.get, types, type_map)
            if item.ids.tolist() != arrays['id'].astype(str).tolist():
                raise UnreadableError(
                    f'The node {self.pk} states other ids than those of its frames in `{path}`: do not use it, and ask '
                    'whoever gave you its archive.'
                )
            found += item.ids.tolist()
        if self.is_stored:
            _HASHED.add(self.uuid)
        return found

    def _set_paths(self) -> list[str]:
        return [f'{formula}/{name}' for formula, names in self.set_names().items() for name in names]

    def _array(self, path: str) -> NDArray[Any]:
        name = path.rpartition('/')[2].removesuffix('.npy')
        with self.base.repository.open(path, 'rb') as handle:
            return read_array(handle, _size(handle), path, TEXTS if name in TEXT_ARRAYS else NUMBERS)

    # -- conversion -------------------------------------------------------------------------------------------------

    def write(self, directory: str | Path, mixed: bool = False, type_map: Sequence[str] | None = None) -> list[Path]:
        """Write the frames as a DeePMD-kit dataset.

        :param directory: folder of the dataset.
        :param mixed: write one directory for each number of atoms, for PyTorch.
        :param type_map: elements of the mixed layout, by default those of the frames.
        :returns: the system directories.
        """
        if mixed:
            return write_mixed(self.sets(), directory, type_map or self.elements)
        self.check()
        self.base.repository.copy_tree(Path(directory))
        return [Path(directory) / formula for formula in self.formulas]

    def to_file(self, path: str | Path, fmt: str | None = None, type_map: Sequence[str] | None = None) -> Path:
        """Write the frames with their labels and origin to a file or folder; importing it gives the same numbers.

        :param path: file to make, for npy and mixed a folder.
        :param fmt: ``extxyz``, ``npy``, ``mixed`` or ``ase-db``; by default judged by the suffix.
        :param type_map: elements of the layout ``mixed``, by default those of the frames.
        :returns: the path.
        :raises ValueError: if ``path`` exists, the format is unknown, or ``type_map`` lacks an element.
        """
        return write_frames(self, path, fmt, type_map)

    def to_ase(self) -> list[ase.Atoms]:
        """Return every frame as ASE atoms, with labels in a `SinglePointCalculator`."""
        return conversion.sets_to_ase(self.sets())

    def to_pymatgen(self) -> list[Structure]:
        """Return every frame as a pymatgen structure, without labels."""
        return conversion.sets_to_pymatgen(self.sets())

    def to_dpdata(self) -> dpdata.MultiSystems:
        """Return the frames as a dpdata multi-system."""
        return conversion.sets_to_dpdata(self.sets())

    def get_structure(self, index: int) -> orm.StructureData:
        """Return frame ``index`` as an unstored AiiDA structure; only the cells and positions of its set are read.

        :param index: number of the frame; negative numbers count from the end.
        :raises IndexError: if there is no such frame.
        """
        place = range(self.frames)[index]
        for path in self._set_paths():
            cells = self._array(f'{path}/box.npy')
            if place < len(cells):
                break
            place -= len(cells)
        types, type_map = self._types(path.partition('/')[0])
        atoms = ase.Atoms(
            type_map[types].tolist(),
            positions=self._array(f'{path}/coord.npy')[place].reshape(-1, 3),
            cell=cells[place].reshape(3, 3),
            pbc=True,
        )
        return orm.StructureData(ase=atoms)

    def get_trajectory(self) -> orm.TrajectoryData:
        """Return the frames as an unstored AiiDA trajectory.

        :raises ValueError: if the frames have more than one formula.
        """
        return conversion.sets_to_trajectory(self.sets())
