"""Options that name a trajectory, and its files read frame by frame as tracks of the ions."""

from __future__ import annotations

import functools
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.output import say
from aiida_dpasse.cli.refusal import POSITIVE, Refusal
from aiida_dpasse.quoting import line as quoted
from aiida_dpasse.unreadable import UnreadableError, check_regular, reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aiida_dpasse.cli.segments import Segments
    from aiida_dpasse.transport.timeline import Timeline
    from aiida_dpasse.transport.tracks import Tracks

    Array = NDArray[np.float64]

#: Largest number of frames kept in memory; longer trajectories are thinned.
MOST_FRAMES = 4000
#: Shortest and longest plausible time between frames, and longest plausible MD time step, in fs.
SHORTEST_INTERVAL, LONGEST_INTERVAL, LONGEST_STEP = 0.1, 1e9, 100.0
#: Headers with the number of a frame, by the reader of the file; for a dump see `lammps.dump`.
HEADERS = {
    'xdatcar': rb'Direct configuration=\s*(\d{1,18})\s',
    'cp2k': rb'\n\s*i =\s*(\d{1,18}),',
}
#: Largest length in A.
LARGEST = 1e9
#: Number of bytes of the shortest line of an atom, with three coordinates.
SHORTEST = 6
#: Size in bytes above which a progress bar is shown on a terminal.
LONG = 50_000_000


@dataclass(frozen=True)
class Source:
    """A trajectory as named on the command line.

    :param paths: files of one run in order, or of replicas.
    :param timestep: MD time step in fs for a LAMMPS dump, whose frames carry step numbers; time between two frames for
        any other file.
    :param interval: time between two frames in fs, instead of ``timestep``.
    :param elements: elements of the types of a LAMMPS dump, in order.
    :param wrapped: whether positions are wrapped into the cell; by default this is determined from the positions.
    :param format: name of the reader: ``dump``, ``xdatcar``, ``mdanalysis`` or a format of ASE.
    :param cell: lattice vectors as rows in A, for files without a cell.
    :param topology: file of any format with the same atoms, for files without elements.
    :param skip: number of frames left out at the beginning of each run.
    :param start: time in ps left out at the beginning of each run.
    :param stride: only every stride-th frame is used.
    :param replicas: whether the files are independent runs of the same system.
    """

    paths: tuple[Path, ...]
    timestep: float | None = None
    interval: float | None = None
    elements: tuple[str, ...] = ()
    wrapped: bool | None = None
    format: str | None = None
    cell: Any = None
    topology: Path | None = None
    skip: int = 0
    start: float = 0.0
    stride: int = 1
    replicas: bool = False

    @property
    def name(self) -> str:
        """Name to print."""
        more = len(self.paths) - 1
        return quoted(self.paths[0].name) + (f' and {more} more' if more else '')


class _Cell(click.ParamType):
    """Three lengths, three lengths and three angles, or nine components, as lattice vectors."""

    name = 'cell'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the lattice vectors."""
        import numpy as np
        from ase.cell import Cell

        try:
            numbers = [float(word) for word in str(value).replace(',', ' ').split()]
            if len(numbers) not in (3, 6, 9):
                raise ValueError
            cell = np.array(Cell.new(np.reshape(numbers, (3, 3)) if len(numbers) == 9 else numbers))
            if not abs(np.linalg.det(cell)) > 1e-6:
                raise ValueError
        except (ValueError, AssertionError):
            self.fail(f'{value!r} should be "a b c", "a b c alpha beta gamma" or the nine components.', param, ctx)
        return cell


class _FileOrPk(click.Path):
    """An existing file or folder, or else the PK of a node with a trajectory."""

    def __init__(self) -> None:
        super().__init__(exists=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or the segments of the node."""
        if ctx is not None and str(value).isdecimal() and not Path(value).exists():
            from aiida_dpasse.cli.segments import find_segments

            return find_segments(int(value), ctx)
        return super().convert(value, param, ctx)


def trajectory_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and the options that name a trajectory; the command receives them as one `Source`, ``source``.

    :param command: the command's function.
    """

    @click.argument('files', metavar='FILE...', nargs=-1, required=True, type=_FileOrPk())
    @click.option(
        '--timestep',
        type=POSITIVE,
        metavar='FS',
        help='In fs: the MD time step for a LAMMPS dump, whose frames carry step numbers; for any other file the time '
        'between two frames.',
    )
    @click.option(
        '--interval', type=POSITIVE, metavar='FS', help='Time between two frames in fs, instead of --timestep.'
    )
    @click.option('--replicas', is_flag=True, help='The files are independent runs, and not parts of one run.')
    @click.option('--elements', help='Elements of the atom types of a LAMMPS dump without an element column: "Li P S".')
    @click.option(
        '--wrapped/--unwrapped',
        default=None,
        help='Whether positions are wrapped into the cell.  [default: determined from the positions]',
    )
    @click.option(
        '--format', metavar='NAME', help='dump, xdatcar, mdanalysis or a format of ASE.  [default: by content]'
    )
    @click.option(
        '--cell', type=_Cell(), help='"a b c" in A, with angles or as nine components, for files without a cell.'
    )
    @click.option(
        '--topology',
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help='A structure with the same atoms, for files without elements (DCD, XTC, NetCDF).',
    )
    @click.option('--skip', type=click.IntRange(0), default=0, metavar='N', help='Leave out the first N frames.')
    @click.option('--start', type=click.FloatRange(0), default=0.0, metavar='PS', help='Leave out the first PS ps.')
    @click.option('--stride', type=click.IntRange(1), default=1, metavar='N', help='Use every N-th frame.')
    @functools.wraps(command)
    def wrapper(
        files: tuple[Path | Segments, ...],
        timestep: float | None,
        interval: float | None,
        replicas: bool,
        elements: str | None,
        wrapped: bool | None,
        format: str | None,
        cell: Any,
        topology: Path | None,
        skip: int,
        start: float,
        stride: int,
        **options: Any,
    ) -> Any:
        names = tuple(elements.replace(',', ' ').split()) if elements else ()
        nodes = [file for file in files if not isinstance(file, Path)]
        if nodes and len(nodes) == len(files):
            # Of several nodes all have the same, or it has to be given.
            if timestep is None and interval is None and len({node.timestep for node in nodes}) == 1:
                timestep = nodes[0].timestep
            if not names and len({node.elements for node in nodes}) == 1:
                names = nodes[0].elements
        if (timestep is None) == (interval is None):
            raise click.UsageError('Give either --timestep or --interval.')
        if replicas and any(len(node.folders) > 1 for node in nodes):
            raise Refusal('The segments of one run are no --replicas: name runs of one segment, or their files.')
        folders = [path for file in files for path in ([file] if isinstance(file, Path) else file.folders)]
        paths = tuple(path for folder in folders for path in _segments(folder))
        source = Source(
            paths, timestep, interval, names, wrapped, format, cell, topology, skip, start, stride, replicas
        )
        return command(source=source, **options)

    return wrapper


def _segments(path: Path) -> list[Path]:
    """Return the dump files in a folder in the order of their numbers, or the file itself.

    Of the files of `dpasse.md` those of the trajectory, which are beside its samples and its last frame.
    """
    from aiida_dpasse.lammps.script import TRAJECTORY_FILE

    if not path.is_dir():
        return [path]
    found = sorted(
        path.rglob('*.lammpstrj*'),
        key=lambda file: [int(part) if part.isdecimal() else part for part in re.split(r'(\d+)', str(file))],
    )
    if not found:
        raise Refusal(f'{quoted(path)} holds no *.lammpstrj file: name the files of the trajectory.')
    return [file for file in found if file.name.startswith(TRAJECTORY_FILE)] or found


def read_replicas(source: Source, ions: Sequence[str]) -> list[tuple[Tracks, list[str], float]]:
    """Return the result of `read_tracks` for each run: each file with ``--replicas``, else all files together.

    :param source: the trajectory.
    :param ions: symbols of the carriers.
    :raises Refusal: as `read_tracks`.
    """
    if not source.replicas:
        return [read_tracks(source, ions)]
    return [read_tracks(replace(source, paths=(path,), replicas=False), ions) for path in source.paths]


def read_tracks(source: Source, ions: Sequence[str]) -> tuple[Tracks, list[str], float]:
    """Return the tracks of the ions, their symbols, and the time between the frames kept in ps.

    Frames that are not used, and positions that are unwrapped in a file of unwrapped ones, are reported on stderr.

    :param source: the trajectory.
    :param ions: symbols of the carriers, empty for all atoms; for a LAMMPS dump without elements its types, or those of
        its ``elements``.
    :raises Refusal: if the files are not a trajectory that contains the ions, with the same atoms in the same order and
        a plausible interval between frames.
    """
    if source.replicas and len(source.paths) > 1:
        raise Refusal('This command reads one run: leave out --replicas, or name one file.')
    try:
        run = _Run(source, ions)
        with reading(source.name, 'give a trajectory that is whole'):
            run.read()
        assert run.tracks is not None
        gap = run.tracks.gap()
        interval = gap / run.spacing * run.interval
        if run.numbered:
            _check_step(source, run.spacing)
        if not SHORTEST_INTERVAL <= run.interval <= LONGEST_INTERVAL:
            raise UnreadableError(
                f'The frames of {source.name} would be {run.interval:g} fs apart: correct --timestep or --interval.'
            )
        for sentence in run.notices():
            say(quoting.line(f'{source.name}: {sentence}'), err=True)
    except (ValueError, OSError) as error:
        raise Refusal(str(error)) from error
    return run.tracks, [symbol for symbol in run.symbols if not ions or symbol in ions], interval * 1e-3


def masses_of(symbols: Sequence[str]) -> list[float]:
    """Return the masses in u; 1 for all atoms if the symbols are types, whose masses are unknown.

    :param symbols: (natoms,).
    """
    from ase.data import atomic_masses, atomic_numbers

    known = all(symbol in atomic_numbers for symbol in symbols)
    return [float(atomic_masses[atomic_numbers[symbol]]) if known else 1.0 for symbol in symbols]


def _check_step(source: Source, spacing: int) -> None:
    if source.timestep is not None and source.timestep > LONGEST_STEP and spacing > 1:
        raise UnreadableError(
            f'--timestep {source.timestep:g} is the MD time step of {source.name}, and its frames are {spacing} steps '
            'apart: give the time between frames as --interval.'
        )


@dataclass
class _Frame:
    """One frame: its number in the header, cell (3, 3) A, positions (n, 3) A, None if not needed, and symbols."""

    number: int | None
    cell: Array
    positions: Array | None
    symbols: list[str]


@dataclass
class _Run:
    """The reading of the files of one run."""

    source: Source
    ions: Sequence[str]
    tracks: Tracks | None = None
    symbols: list[str] = field(default_factory=list)
    spacing: int = 1
    #: Time between frames in fs.
    interval: float = 0.0
    #: Whether the frames carry numbers of MD steps.
    numbered: bool = False
    #: Whether the columns of a dump say that the positions are wrapped.
    wrapped: bool = False
    damaged: int = 0
    repeated: int = 0
    uneven: int = 0

    def notices(self) -> Iterator[str]:
        """Yield one sentence for each kind of frame that was not used or was changed."""
        assert self.tracks is not None
        for number, text in (
            (self.damaged, 'are damaged and left out'),
            (self.repeated, 'are repeated by later ones and left out'),
            (self.uneven, 'do not fit the even spacing of the others and are left out'),
            (self.tracks.unused, 'are not used, since the ones between them are missing'),
        ):
            if number:
                yield f'{number} frames {text}.'
        if self.tracks.jumps and not self.tracks.confined and not self.wrapped and self.source.wrapped is None:
            yield f'{self.tracks.jumps} jumps of ions by a lattice vector are removed; --unwrapped keeps them.'

    def read(self) -> None:
        """Read all frames."""
        for path in self.source.paths:
            check_regular(path)
        kinds = [_kind(path, self.source.format) for path in self.source.paths]
        numbers = [_numbers(path, kind) for path, kind in zip(self.source.paths, kinds, strict=True)]
        self.numbered = all(kind == 'dump' for kind in kinds)
        timeline = None
        if all(numbers):
            from aiida_dpasse.transport.timeline import place_frames

            timeline = place_frames(numbers)
            self.spacing, self.repeated, self.uneven = timeline.spacing, timeline.repeated, timeline.uneven
        if self.source.interval is not None:
            self.interval = self.source.interval
        else:
            assert self.source.timestep is not None
            self.interval = self.source.timestep * (self.spacing if self.numbered else 1)
        total = sum(len(part) for part in numbers) if timeline else 0
        long = sys.stderr.isatty() and sum(path.stat().st_size for path in self.source.paths) > LONG
        with click.progressbar(length=total, label='Reading', file=sys.stderr, hidden=not (long and total)) as bar:
            self._take(kinds, numbers, timeline, lambda: bar.update(1))
        if self.tracks is None:
            raise UnreadableError(
                f'{self.source.name} holds no whole frame with positions'
                f'{" xu, xsu, x or xs and with id and type" if self.numbered else ""}.'
            )

    def _take(
        self, kinds: list[str], numbers: list[list[int]], timeline: Timeline | None, advance: Callable[[], None]
    ) -> None:
        """Give the frames to the tracks, each at its step."""
        import numpy as np

        index, shift, last, moving = 0, 0, None, False
        seen: dict[bytes, int] = {}
        first: int | None = None
        file, at = 0, -1

        def is_used(step: int) -> bool:
            number = (step - (step if first is None else first)) // self.spacing
            return number >= self.source.skip and number * self.interval >= self.source.start * 1e3

        def is_needed(number: int) -> bool:
            """Return whether the positions of the next frame of a dump are needed."""
            assert timeline is not None
            try:
                place = timeline.steps[file][numbers[file].index(number, at + 1)]
            except ValueError:
                return True
            if place is None or (first is not None and not is_used(place)):
                return False
            return self.tracks is None or self.tracks.needs(place)

        # Where the numbers begin again, the positions show whether the first frame repeats the last one before.
        wanted = is_needed if timeline is not None and not timeline.resets else None
        for file, (path, kind) in enumerate(zip(self.source.paths, kinds, strict=True)):
            at = -1
            for frame in self._frames(path, kind, wanted):
                advance()
                if frame is None:
                    # The frames after it keep their times.
                    index += timeline is None
                    continue
                at += 1
                if timeline is not None:
                    while at < len(numbers[file]) and numbers[file][at] != frame.number:
                        at += 1
                    if at == len(numbers[file]):
                        raise UnreadableError(
                            f'The headers of {quoted(path.name)} do not number its frames in their order: copy it '
                            'again, or give it in another format.'
                        )
                    place = timeline.steps[file][at]
                    if place is None:
                        continue
                    if frame.positions is None:
                        if is_used(place) and self.tracks is not None:
                            self.tracks.pass_over()
                        continue
                    if (file, at) in timeline.resets and last is not None and np.array_equal(last, frame.positions):
                        # The new segment begins with the last frame of the one before.
                        shift, self.repeated = shift + self.spacing, self.repeated + 1
                        continue
                    step = place - shift
                else:
                    assert frame.positions is not None
                    # Without numbers a frame that occurred before shows that a restart repeated it.
                    digest = blake2b(frame.positions.tobytes(), digest_size=8).digest()
                    if moving and seen.get(digest, index) < index:
                        self.repeated += index - seen[digest]
                        index = seen[digest] + 1
                        if self.tracks is not None:
                            self.tracks.rewind(index)
                        continue
                    if last is not None and len(last) == len(frame.positions):
                        moving = bool(np.mean(np.any(last != frame.positions, axis=1)) > 0.5)
                    seen[digest] = step = index
                    index += 1
                last = frame.positions
                first = step if first is None else first
                if is_used(step):
                    self._add(path, at, step, frame, frame.positions)

    def _add(self, path: Path, at: int, step: int, frame: _Frame, positions: Array) -> None:
        if self.tracks is None:
            self.symbols = frame.symbols
            self.tracks = self._begin(path)
        if len(frame.symbols) != len(self.symbols):
            counts = f'{len(frame.symbols)} atoms and the first frame {len(self.symbols)}'
            raise UnreadableError(
                f'Frame {at + 1} of {quoted(path.name)} holds {counts}: give frames of the same atoms.'
            )
        if frame.symbols is not self.symbols and frame.symbols != self.symbols:
            raise UnreadableError(
                f'Frame {at + 1} of {quoted(path.name)} lists its atoms in another order than the first frame does.'
            )
        if any(max(array.max(initial=0), -array.min(initial=0)) > LARGEST for array in (frame.cell, positions)):
            raise UnreadableError(
                f'Frame {at + 1} of {quoted(path.name)} holds lengths beyond {LARGEST:g} A: correct it.'
            )
        self.tracks.add(step, frame.cell, positions)

    def _begin(self, path: Path) -> Tracks:
        from ase.data import atomic_numbers

        from aiida_dpasse.transport.tracks import Tracks

        kinds = sorted(set(self.symbols))
        if unknown := [kind for kind in kinds if not (kind.isdecimal() or kind in atomic_numbers)]:
            raise UnreadableError(
                f'{quoted(path.name)} names atoms `{quoted(unknown[0])[:40]}`, which is no element: name the types by '
                'numbers, or by their elements.'
            )
        for ion in self.ions:
            if ion not in kinds:
                raise UnreadableError(f'There is no {ion} in {quoted(path.name)}: it holds {", ".join(kinds)[:200]}.')
        wrapped = self.source.wrapped if self.source.wrapped is not None else self.wrapped or None
        spacing = self.spacing * self.source.stride
        return Tracks(
            self.symbols,
            masses_of(self.symbols),
            self.ions or set(self.symbols),
            MOST_FRAMES,
            wrapped=wrapped,
            spacing=spacing,
        )

    def _frames(self, path: Path, kind: str, wanted: Callable[[int], bool] | None = None) -> Iterator[_Frame | None]:
        """Yield the frames of one file, None for a damaged frame of a file whose frames are not numbered.

        Of the frames of a dump, those whose numbers are not ``wanted`` have no positions.
        """
        if kind == 'dump':
            return self._dump(path, wanted)
        if kind == 'xdatcar':
            return self._xdatcar(path)
        if kind == 'mdanalysis':
            return self._mdanalysis(path)
        return self._xyz(path) if kind in ('xyz', 'cp2k') else self._ase(path, kind)

    def _dump(self, path: Path, wanted: Callable[[int], bool] | None) -> Iterator[_Frame]:
        from aiida_dpasse.lammps.dump import DumpReader

        reader, elements = DumpReader([path]), self.source.elements
        symbols: list[str] = []
        for step, cell, positions in reader.frames(wanted):
            if not symbols:
                symbols, self.wrapped = list(reader.symbols), reader.wrapped
                if elements and all(symbol.isdigit() for symbol in symbols):
                    if any(int(symbol) > len(elements) for symbol in symbols):
                        kinds = ', '.join(sorted(set(symbols)))
                        raise UnreadableError(
                            f'{len(elements)} elements are named and {quoted(path.name)} holds the types {kinds}.'
                        )
                    symbols = [elements[int(symbol) - 1] for symbol in symbols]
            yield _Frame(step, cell, positions, symbols)
        if reader.changed:
            raise UnreadableError(
                f'{reader.changed} frames of {quoted(path.name)} hold other atoms than the first, or in another order.'
            )
        self.damaged += reader.dropped

    def _xdatcar(self, path: Path) -> Iterator[_Frame]:
        from aiida_dpasse.opening import most_lines, open_plain
        from aiida_dpasse.vasp.xdatcar import read_xdatcar

        damaged: list[int] = []
        with open_plain(path) as handle:
            try:
                for number, scaled, cell, symbols in read_xdatcar(handle, damaged, most_lines(path, SHORTEST)):
                    yield _Frame(number, cell, scaled @ cell, symbols)
            except ValueError as error:
                raise UnreadableError(f'{quoted(path.name)} is not an XDATCAR that can be read: {error}') from error
        self.damaged += len(damaged)

    def _mdanalysis(self, path: Path) -> Iterator[_Frame]:
        import numpy as np

        try:
            from MDAnalysis.coordinates.core import reader
            from MDAnalysis.lib.mdamath import triclinic_vectors
        except ImportError as error:
            raise UnreadableError(
                f'{quoted(path.name)} is read by MDAnalysis: install aiida-dpasse[trajectories], or convert it to '
                'extxyz.'
            ) from error
        if self.source.topology is None:
            raise UnreadableError(
                f'{quoted(path.name)} holds no elements: name a structure with the same atoms as --topology.'
            )
        symbols = _symbols(self.source.topology, self.source)
        advice = 'give a trajectory that MDAnalysis can read'
        with reading(path.name, advice), _silent(), warnings.catch_warnings():
            # Each reader announces that a later release will reuse the memory of a frame; frames are copied here.
            warnings.simplefilter('ignore')
            frames: Any = reader(str(path), format=_suffix(path), n_atoms=len(symbols))
        if frames.n_atoms != len(symbols):
            counts = f'{frames.n_atoms} atoms and {quoted(self.source.topology.name)} {len(symbols)}'
            raise UnreadableError(
                f'{quoted(path.name)} holds {counts}: name a structure with the same atoms as --topology.'
            )
        with reading(path.name, advice):
            for index, found in enumerate(frames):
                given = None if found.dimensions is None else triclinic_vectors(found.dimensions)
                cell = self._cell(path, index, given)
                positions = np.array(found.positions, dtype=float)
                if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
                    raise UnreadableError(
                        f'Frame {index + 1} of {quoted(path.name)} holds NaN or infinity: leave it out.'
                    )
                yield _Frame(None, cell, positions, symbols)

    def _xyz(self, path: Path) -> Iterator[_Frame | None]:
        """Yield the frames of an xyz file in bounded memory, None for each that is damaged."""
        import numpy as np

        from aiida_dpasse.cli.xyz import read_xyz_frames
        from aiida_dpasse.opening import most_lines, open_plain

        with open_plain(path) as handle, _reading(path):
            for index, found in enumerate(read_xyz_frames(handle, most_lines(path, SHORTEST))):
                comment, atoms = found or (b'', None)
                if atoms is None or not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell).all():
                    self.damaged += 1
                    yield None
                    continue
                number = re.match(HEADERS['cp2k'], b'\n' + comment)
                cell = self._cell(path, index, np.array(atoms.cell))
                yield _Frame(number and int(number.group(1)), cell, atoms.positions, atoms.get_chemical_symbols())

    def _ase(self, path: Path, kind: str) -> Iterator[_Frame]:
        """Yield the frames of a file that ASE reads."""
        import numpy as np

        with _reading(path):
            for index, atoms in enumerate(_images(path, kind)):
                cell = self._cell(path, index, np.array(atoms.cell))
                if not (np.isfinite(atoms.positions).all() and np.isfinite(cell).all()):
                    raise UnreadableError(
                        f'Frame {index + 1} of {quoted(path.name)} holds numbers that are not finite.'
                    )
                yield _Frame(None, cell, atoms.positions, atoms.get_chemical_symbols())

    def _cell(self, path: Path, index: int, cell: Array | None) -> Array:
        """Return the cell of a frame: that of ``--cell``, which is for files without one, or the file's."""
        import numpy as np

        if self.source.cell is not None:
            return np.array(self.source.cell, dtype=float)
        if cell is None or abs(np.linalg.det(cell)) < 1e-6:
            raise UnreadableError(f'Frame {index + 1} of {quoted(path.name)} has no cell: give it as --cell "a b c".')
        return np.asarray(cell, dtype=float)


@contextmanager
def _silent() -> Iterator[None]:
    """End a reader of MDAnalysis that was not made, whose destructor reports an error of its own."""
    try:
        yield
    except Exception as error:
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            clear_frames(error.__traceback__)
        finally:
            sys.unraisablehook = hook
        raise


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name the file in the errors of ASE's readers, which are arbitrary exceptions."""
    with reading(path.name, 'give a trajectory that ASE can read'):
        yield


def _images(path: Path, kind: str) -> Iterator[Any]:
    """Yield the frames of a file that ASE reads; an `@` in its name is no index."""
    from ase.io import iread

    images: Iterator[Any] = iread(path, index=':', format=None if kind == 'ase' else kind, do_not_split_by_at_sign=True)
    return images


def _kind(path: Path, name: str | None) -> str:
    """Return the reader of a file: that of ``--format``, or the one for its content."""
    from aiida_dpasse.lammps.dump import is_dump
    from aiida_dpasse.opening import DAMAGE, open_plain

    if name is not None:
        return {'lammps-dump-text': 'dump', 'lammps': 'dump', 'vasp-xdatcar': 'xdatcar', 'extxyz': 'xyz'}.get(
            name, name
        )
    if is_dump(path):
        return 'dump'
    try:
        with open_plain(path) as handle:
            start = handle.read(4096)
    except DAMAGE:
        return 'ase'
    if start[4:8] == b'CORD' or start.startswith((b'CDF', b'\x89HDF', b'\0\0\x07\xcb', b'\0\0\x07\xc9')):
        return 'mdanalysis'
    if re.search(rb'^\s*Direct configuration=', start, re.MULTILINE):
        return 'xdatcar'
    if re.match(rb'\s*\d+[ \t]*\r?\n', start):
        return 'cp2k' if re.match(rb'\s*\d+\s*\n\s*i =\s*\d+,', start) else 'xyz'
    return 'ase'


def _suffix(path: Path) -> str:
    """Return the name under which MDAnalysis knows the format of a file, from its first bytes."""
    with path.open('rb') as handle:
        start = handle.read(8)
    for magic, name in ((b'CDF', 'NCDF'), (b'\x89HDF', 'H5MD'), (b'\0\0\x07\xcb', 'XTC'), (b'\0\0\x07\xc9', 'TRR')):
        if start.startswith(magic):
            return name
    return 'DCD' if start[4:8] == b'CORD' else path.suffix[1:].upper()


def _numbers(path: Path, kind: str) -> list[int]:
    """Return the numbers in the headers of all frames; empty for a file without."""
    from aiida_dpasse.lammps.dump import HEADER, frame_numbers

    header = HEADER if kind == 'dump' else HEADERS.get(kind)
    return [] if header is None else frame_numbers(path, header)


def _symbols(path: Path, source: Source) -> list[str]:
    """Return the symbols of the atoms in a structure or in the first frame of a trajectory."""
    from ase.io import read

    kind = _kind(path, None)
    if kind in ('dump', 'xdatcar'):
        frame = next(_Run(replace(source, paths=(path,)), ())._frames(path, kind), None)
        if frame is None:
            raise UnreadableError(f'{quoted(path.name)} holds no frame.')
        return frame.symbols
    with reading(path.name, 'give a structure that ASE can read'):
        atoms: Any = read(path, index=0, do_not_split_by_at_sign=True)
    symbols: list[str] = atoms.get_chemical_symbols()
    return symbols
