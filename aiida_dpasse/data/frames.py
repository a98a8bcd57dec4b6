"""`FramesData`: labelled or unlabelled atomic configurations, stored as a DeePMD-kit dataset."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import ase
import numpy as np
from aiida import orm
from aiida.common.exceptions import ValidationError
from numpy.typing import NDArray

from aiida_dpasse.data import conversion
from aiida_dpasse.data.atoms import sets_from_atoms
from aiida_dpasse.data.parts import Part, joined, open_files, open_parts, part_name, part_names
from aiida_dpasse.data.reading import read_files
from aiida_dpasse.data.writing import write_frames
from aiida_dpasse.deepmd.dataset import ORIGIN_NAMES, write_dataset, write_mixed
from aiida_dpasse.deepmd.frameset import LABELS, Entry, FrameSet, frame_ids
from aiida_dpasse.deepmd.intake import MINIMUM_DISTANCE, Intake, pseudo_elements
from aiida_dpasse.deepmd.packed import write_packed
from aiida_dpasse.quoting import line as quoted
from aiida_dpasse.unreadable import UnreadableError

if TYPE_CHECKING:
    import dpdata
    from pymatgen.core import Structure


#: Nodes whose attributes, and whose ids, were compared with their files; stored nodes do not change.
_CHECKED: set[str] = set()
_HASHED: set[str] = set()
_T = TypeVar('_T')


class _Index(NamedTuple):
    """What a file of a node holds: its sets, its elements, and its size in bytes."""

    entries: list[Entry]
    elements: list[str]
    size: int


def _index_of(part: Part) -> _Index:
    return _Index(part.entries, part.elements, part.size)


class Record(NamedTuple):
    """What a node stores for one of its frames: its origin, and its set."""

    source: str
    step: int
    reason: str
    entry: Entry

    @property
    def labelled(self) -> bool:
        """Whether the frame has an energy and forces."""
        return {'energy', 'force'} <= set(self.entry.labels)


class FramesData(orm.FolderData):
    """Frames of any number of compositions, each with an identity, an origin and, optionally, labels.

    The repository contains one npz file, a union those of its members (see :mod:`aiida_dpasse.deepmd.packed` for the
    arrays, and :class:`~aiida_dpasse.deepmd.frameset.FrameSet` for the units). `write` gives DeePMD-kit's layout, and
    nodes of earlier releases, which are in that layout, are read as well. Frames are numbered by formula, sorted by
    name, and then in the order in which their sets were given.
    """

    KEY_FRAMES = 'frames'
    KEY_FORMULAS = 'formulas'
    KEY_ELEMENTS = 'elements'
    KEY_LABELS = 'labels'
    KEY_ATOMS = 'atoms'
    KEY_ENERGY_RANGE = 'energy_range'
    KEY_LARGEST_FORCE = 'largest_force'
    KEY_NOTES = 'notes'

    _index: list[_Index] | None = None

    def __init__(self, sets: Iterable[FrameSet] | None = None, notes: Sequence[str] = (), **kwargs: Any):
        """Construct from frame sets.

        :param sets: the frames; each member becomes one ``set.NNNN`` of its formula where they are written.
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
        self._put(sets, part_name(0))
        self._describe([self._attributes_of(item) for item in sets])

    def _put(self, sets: list[FrameSet], name: str) -> None:
        """Write frames to a file of the repository."""
        with tempfile.TemporaryFile() as handle:
            write_packed(sets, handle)
            handle.seek(0)
            self.base.repository.put_object_from_filelike(handle, name)

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
            self._collect(lambda part: part.sets())
            found = self._found()
        except (ValueError, OSError) as exception:
            raise ValidationError(str(exception)) from exception
        if any(self.base.attributes.get(key, None) != value for key, value in found.items()):
            raise ValidationError('The attributes are not those of the files: build it with `from_sets`.')
        return True

    # -- what an archive claims -------------------------------------------------------------------------------------

    def check(self) -> None:
        """Compare what the attributes state with the files, once for each stored node.

        The attributes of an archive are imported as they are. Formulas and numbers of frames follow from the index of
        each file, the sizes of its arrays among it; none of the numbers of the frames are read.

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
        """Return the attributes that follow from the indices of the files."""
        formulas: Counter[str] = Counter()
        elements: set[str] = set()
        labels = set(LABELS)
        atoms = 0
        for index in self._indices():
            elements |= set(index.elements)
            for entry in index.entries:
                formulas[entry.formula] += entry.frames
                labels &= set(entry.labels)
                atoms += entry.frames * entry.natoms
        return {
            self.KEY_FRAMES: formulas.total(),
            self.KEY_FORMULAS: dict(sorted(formulas.items())),
            self.KEY_ELEMENTS: sorted(elements),
            self.KEY_LABELS: [label for label in LABELS if label in labels],
            self.KEY_ATOMS: atoms,
        }

    def _indices(self) -> list[_Index]:
        """Return what each file holds, in their order; read once for a stored node."""
        if self._index is not None:
            return self._index
        found = {number: _index_of(part) for number, part in open_parts(self)}
        indices = [found[number] for number in sorted(found)]
        if self.is_stored:
            self._index = indices
        return indices

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
        """Merge the frames of ``nodes`` in the given order; files are shared, see :mod:`aiida_dpasse.data.parts`.

        :raises ValueError: if there are no nodes.
        """
        members, union = list(nodes), cls()
        if not members:
            raise UnreadableError('There are no frames: give at least one node.')
        files, sizes = [], []
        for node in members:
            node.check()
            for number, index in enumerate(node._indices()):
                files.append((node, number))
                sizes.append(index.size)
        for place, group in enumerate(joined(sizes)):
            node, number = files[group[0]]
            if len(group) == 1 and (names := part_names(node)):
                for _, handle in open_files(node, [names[number]]):
                    union.base.repository.put_object_from_filelike(handle, part_name(place))
            else:
                chosen = [files[index] for index in group]
                sets = [
                    item for node, number in chosen for _, part in open_parts(node, [number]) for item in part.sets()
                ]
                union._put(sets, part_name(place))
        union._describe([node.base.attributes.all for node in members])
        return union

    # -- reading ----------------------------------------------------------------------------------------------------

    def _collect(self, read: Callable[[Part], Sequence[_T]]) -> list[_T]:
        """Return what is read of each set, in the order of the frames.

        :param read: returns it for the sets of one file.
        """
        found: dict[int, list[tuple[str, _T]]] = {}
        for number, part in open_parts(self):
            found[number] = [(entry.formula, one) for entry, one in zip(part.entries, read(part), strict=True)]
        pairs = (pair for number in sorted(found) for pair in found[number])
        return [one for _, one in sorted(pairs, key=lambda pair: pair[0])]

    def sets(self) -> list[FrameSet]:
        """Return the frames, one member per set.

        :raises UnreadableError: as `check`.
        """
        self.check()
        return self._collect(lambda part: part.sets())

    def entries(self) -> list[Entry]:
        """Return formula, number of frames and labels of each set, without reading the frames.

        :raises UnreadableError: as `check`.
        """
        self.check()
        found = [entry for index in self._indices() for entry in index.entries]
        return sorted(found, key=lambda entry: entry.formula)

    def origins(self) -> list[dict[str, NDArray[Any]]]:
        """Return the ids of the frames of each set as they are stored, and their origin, without reading the atoms.

        :returns: of each set ``id``, ``source``, ``step``, ``deviation`` and ``reason``, (n,) each.
        :raises UnreadableError: as `check`.
        """
        self.check()
        names = ('id', *ORIGIN_NAMES.values())

        def read(part: Part) -> list[dict[str, NDArray[Any]]]:
            columns = zip(*(part.per_set(name) for name in names), strict=True)
            return [dict(zip(names, arrays, strict=True)) for arrays in columns]

        return self._collect(read)

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
        checked = self.uuid in _HASHED

        def read(part: Part) -> list[list[str]]:
            stored = [names.tolist() for names in part.per_set('id')]
            if not checked:
                atoms = zip(stored, part.entries, part.per_set('coord'), part.per_set('box'), strict=True)
                for number, (names, entry, positions, cells) in enumerate(atoms):
                    if frame_ids(part.symbols(number), cells, positions).tolist() != names:
                        raise UnreadableError(self._false_ids(entry))
            return stored

        found = [name for names in self._collect(read) for name in names]
        if self.is_stored:
            _HASHED.add(self.uuid)
        return found

    def find(self, frame_id: str) -> Record | None:
        """Return what the node stores for one frame, of which alone the atoms are read; None if it does not hold it.

        :param frame_id: identity of the frame; of equal frames the last is taken.
        :raises UnreadableError: as `check`, or if the identity is not that of its frame.
        """
        indices, found = {}, []
        for number, part in open_parts(self):
            indices[number] = _index_of(part)
            for at, (entry, names) in enumerate(zip(part.entries, part.per_set('id'), strict=True)):
                if not (places := np.flatnonzero(names == frame_id)).size:
                    continue
                place = int(places[-1])
                box, coord = part.one('box', at, place), part.one('coord', at, place)
                if frame_ids(part.symbols(at), box, coord)[0] != frame_id:
                    raise UnreadableError(self._false_ids(entry))
                [source], [step], [reason] = (part.one(name, at, place) for name in ('source', 'step', 'reason'))
                found.append(((entry.formula, number, at), Record(str(source), int(step), str(reason), entry)))
        if self.is_stored:
            self._index = [index for _, index in sorted(indices.items())]
        self.check()
        return max(found, default=(None, None))[1]

    def _false_ids(self, entry: Entry) -> str:
        return (
            f'The node {self.pk} states other ids than those of its frames of {entry.formula}: do not use it, and ask '
            'whoever gave you its archive.'
        )

    def _place(self, index: int) -> tuple[int, int, int]:
        """Return file, set in it, and place in the set, of a frame."""
        place = range(self.frames)[index]
        order = [
            (entry, number, at) for number, part in enumerate(self._indices()) for at, entry in enumerate(part.entries)
        ]
        order.sort(key=lambda row: row[0].formula)
        ends = np.cumsum([entry.frames for entry, *_ in order])
        row = int(np.searchsorted(ends, place, side='right'))
        entry, number, at = order[row]
        return number, at, place - (int(ends[row]) - entry.frames)

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
        return write_dataset(self.sets(), directory)

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
        """Return frame ``index`` as an unstored AiiDA structure; of which alone cell and positions are read.

        :param index: number of the frame; negative numbers count from the end.
        :raises IndexError: if there is no such frame.
        """
        number, at, place = self._place(index)
        for _, part in open_parts(self, [number]):
            [positions], [cell] = part.one('coord', at, place), part.one('box', at, place)
            atoms = ase.Atoms(part.symbols(at), positions=positions, cell=cell, pbc=True)
        return orm.StructureData(ase=atoms)

    def get_trajectory(self) -> orm.TrajectoryData:
        """Return the frames as an unstored AiiDA trajectory.

        :raises ValueError: if the frames have more than one formula.
        """
        return conversion.sets_to_trajectory(self.sets())
