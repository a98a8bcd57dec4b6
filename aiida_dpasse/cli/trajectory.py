"""Options that name a trajectory, and its files read frame by frame as tracks of the ions."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse.cli.refusal import EXISTING, POSITIVE, Refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aiida_dpasse.transport.tracks import Tracks

    Array = NDArray[np.float64]

#: Largest number of frames kept in memory; longer trajectories are thinned.
MOST_FRAMES = 4000


@dataclass(frozen=True)
class Source:
    """A trajectory as named on the command line.

    :param path: path of the trajectory.
    :param timestep: time in fs between steps of a LAMMPS dump, or between frames of any other file.
    :param elements: elements of the types of a LAMMPS dump, in order.
    :param wrapped: whether positions are wrapped into the cell; by default this is determined from the file.
    """

    path: Path
    timestep: float
    elements: tuple[str, ...] = ()
    wrapped: bool | None = None

    @property
    def name(self) -> str:
        """Name to print."""
        return self.path.name


def trajectory_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and the options that name a trajectory; the command receives them as one `Source`, ``source``.

    :param command: the command's function.
    """

    @click.argument('file', type=EXISTING)
    @click.option(
        '--timestep',
        type=POSITIVE,
        required=True,
        metavar='FS',
        help='In fs: the MD time step for a LAMMPS dump, whose frames carry step numbers; for any other file the time '
        'between two frames.',
    )
    @click.option('--elements', help='Elements of the atom types of a LAMMPS dump without an element column: "Li P S".')
    @click.option(
        '--wrapped/--unwrapped',
        default=None,
        help='Whether positions are wrapped into the cell.  [default: determined from the file]',
    )
    @functools.wraps(command)
    def wrapper(file: Path, timestep: float, elements: str | None, wrapped: bool | None, **options: Any) -> Any:
        names = tuple(elements.replace(',', ' ').split()) if elements else ()
        return command(source=Source(file, timestep, names, wrapped), **options)

    return wrapper


def read_tracks(source: Source, ions: Sequence[str]) -> tuple[Tracks, list[str], float]:
    """Return the tracks of the ions, their symbols, and the time between the frames kept in ps.

    :param source: the trajectory.
    :param ions: symbols of the carriers, empty for all atoms; for a LAMMPS dump without elements its types, or those of
        its ``elements``.
    :raises Refusal: if the file is not a trajectory that contains the ions, with the same atoms in the same order and a
        constant interval between frames.
    """
    path = source.path
    try:
        with path.open('rb') as handle:
            is_dump = handle.read(14) == b'ITEM: TIMESTEP'
        if is_dump:
            tracks, symbols = _read_dump(path, ions, source.elements, source.wrapped)
        else:
            tracks, symbols = _read_ase(path, ions, source.wrapped)
        return (
            tracks,
            [symbol for symbol in symbols if not ions or symbol in ions],
            tracks.gap() * source.timestep * 1e-3,
        )
    except (ValueError, OSError) as error:
        raise Refusal(str(error)) from error


def _begin(path: Path, symbols: Sequence[str], ions: Sequence[str], wrapped: bool) -> Tracks:
    from ase.data import atomic_masses, atomic_numbers

    from aiida_dpasse.transport.tracks import Tracks

    for ion in ions:
        if ion not in symbols:
            raise ValueError(f'There is no {ion} in {path.name}: it holds {", ".join(sorted(set(symbols)))}.')
    # Masses of types without elements are unknown: all atoms have equal weight in their centre.
    known = all(symbol in atomic_numbers for symbol in symbols)
    masses = [float(atomic_masses[atomic_numbers[symbol]]) if known else 1.0 for symbol in symbols]
    return Tracks(symbols, masses, ions or set(symbols), MOST_FRAMES, wrapped=wrapped)


def _read_dump(
    path: Path, ions: Sequence[str], elements: Sequence[str], wrapped: bool | None
) -> tuple[Tracks, list[str]]:
    from aiida_dpasse.lammps.dump import DumpReader

    reader, tracks, symbols = DumpReader([path]), None, []
    for step, cell, positions in reader:
        if tracks is None:
            symbols = list(reader.symbols)
            if elements:
                if not all(symbol.isdigit() and int(symbol) <= len(elements) for symbol in symbols):
                    kinds = ', '.join(sorted(set(symbols)))
                    raise ValueError(f'{len(elements)} elements are named and {path.name} holds the types {kinds}.')
                symbols = [elements[int(symbol) - 1] for symbol in symbols]
            tracks = _begin(path, symbols, ions, reader.wrapped if wrapped is None else wrapped)
        tracks.add(step, cell, positions)
    if reader.changed:
        raise ValueError(
            f'{reader.changed} frames of {path.name} hold other atoms than the first, or in another order.'
        )
    if tracks is None:
        raise ValueError(f'{path.name} holds no whole frame with positions xu, xsu, x or xs and with id and type.')
    return tracks, symbols


def _read_ase(path: Path, ions: Sequence[str], wrapped: bool | None) -> tuple[Tracks, list[str]]:
    import numpy as np

    if wrapped is None:
        # The positions can only be wrapped if none lies outside the cell.
        wrapped = all(np.all(np.abs(scaled - 0.5) < 0.51) for _, scaled, _, _ in _frames(path))
    tracks, symbols = None, []
    for step, scaled, cell, found in _frames(path):
        if tracks is None:
            symbols, tracks = found, _begin(path, found, ions, wrapped)
        if len(found) != len(symbols):
            counts = f'{len(found)} atoms and the first frame {len(symbols)}'
            raise ValueError(f'Frame {tracks.seen + 1} of {path.name} holds {counts}: give frames of the same atoms.')
        if found != symbols:
            raise ValueError(
                f'Frame {tracks.seen + 1} of {path.name} lists its atoms in another order than the first frame does.'
            )
        tracks.add(step, cell, scaled @ cell)
    if tracks is None:
        raise ValueError(f'{path.name} holds no frame.')
    gaps = np.unique(np.diff(tracks.steps))
    if len(gaps) == 1:
        # The given time step is that between frames, whatever their numbers are.
        tracks.steps = [index * tracks.stride for index in range(len(tracks.steps))]
    return tracks, symbols


def _frames(path: Path) -> Iterator[tuple[int, Array, Array, list[str]]]:
    """Yield number, fractional positions, cell and symbols of every frame that ASE reads."""
    import numpy as np
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError

    numbers = _configurations(path)
    try:
        for index, atoms in enumerate(iread(path, index=':')):
            cell = np.array(atoms.cell)
            if abs(np.linalg.det(cell)) < 1e-6:
                raise ValueError(f'Frame {index + 1} of {path.name} has no cell: give a periodic trajectory.')
            if not (np.isfinite(atoms.positions).all() and np.isfinite(cell).all()):
                raise ValueError(f'Frame {index + 1} of {path.name} holds numbers that are not finite.')
            number = numbers[index] if index < len(numbers) else int(atoms.info.get('step', index))
            yield number, atoms.positions @ np.linalg.inv(cell), cell, atoms.get_chemical_symbols()
    except (UnknownFileTypeError, IndexError, KeyError, AssertionError, EOFError, StopIteration, OSError) as error:
        raise ValueError(f'{path.name} is not a trajectory that ASE can read ({type(error).__name__}).') from error
    except Exception as error:
        if isinstance(error, ValueError) and path.name in str(error):
            raise
        # The readers of ASE raise arbitrary exceptions.
        raise ValueError(
            f'{path.name} cannot be read as a trajectory: {str(error).strip() or "it is damaged"}.'
        ) from error


def _configurations(path: Path) -> list[int]:
    """Return the frame numbers of an XDATCAR, to detect missing frames; empty for other files."""
    if 'XDATCAR' not in path.name:
        return []
    with path.open(encoding='utf8', errors='replace') as handle:
        found = (re.search(r'configuration=\s*(\d+)', line) for line in handle if line.startswith('Direct'))
        return [int(match.group(1)) for match in found if match]
