"""Frames from files: DeePMD-kit, extxyz, ASE, output of VASP and CP2K, and every format of dpdata."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_dpasse.cp2k.output import read_frames as read_cp2k
from aiida_dpasse.data.atoms import sets_from_atoms
from aiida_dpasse.data.conversion import sets_from_dpdata
from aiida_dpasse.deepmd.dataset import read_dataset, read_hdf5, system_directories
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.deepmd.intake import Intake
from aiida_dpasse.opening import DAMAGE, most_lines, open_plain, take_lines
from aiida_dpasse.quoting import line as quoted
from aiida_dpasse.structures.calculated import CalculatedFrame
from aiida_dpasse.structures.extxyz import has_plausible_columns
from aiida_dpasse.unreadable import UnreadableError, check_regular, reading, reason
from aiida_dpasse.vasp.output import KILOBAR, converged_steps
from aiida_dpasse.vasp.output import read_frames as read_vasp

if TYPE_CHECKING:
    import ase

#: Formats with a reader of our own; others are those of dpdata and ASE.
OWN = ('deepmd', 'extxyz', 'ase', 'vasp', 'cp2k')
OUTCAR, VASPRUN = 'OUTCAR', 'vasprun.xml'
#: Number of bytes of the shortest line of an atom in extxyz.
SHORTEST = 6
#: Number of bytes at the beginning of a file by which its program is recognised.
HEAD = 1 << 16
#: Suffixes of files with frames that are not read as a part of a folder of systems.
BESIDE = ('.hdf5', '.h5', '.extxyz', '.db')
UNCONVERGED = 'electrons that did not converge'
#: Formats of ASE that hold structures only, possibly with partial occupancies, which a frame cannot have.
STRUCTURES = ('cif', 'vasp', 'res', 'castep-cell', 'xsf')
_TRAJECTORY = re.compile(r'-(pos|frc|vel)-\d+\.xyz$')
_RUN_TYPE = re.compile(r'GLOBAL\| Run type\s+(\S+)')


def read_files(
    paths: Iterable[str | Path],
    intake: Intake,
    fmt: str | None = None,
    type_map: Sequence[str] | None = None,
    keys: Mapping[str, str] | None = None,
    **arguments: Any,
) -> list[FrameSet]:
    """Return the frames of files and folders.

    :param paths: files, datasets, folders of runs.
    :param intake: account of what is dropped, changed or refused.
    :param fmt: one of `OWN`, or a format of dpdata or ASE; by default it is recognised for each path.
    :param type_map: elements in the order of the atom types, for files that only number these or whose names are no
        elements.
    :param keys: name in the file of ``energy``, ``forces``, ``virial`` or ``stress``, for formats of ASE; no other
        labels are read then.
    :param arguments: further arguments of dpdata's reader.
    :returns: the frames, of DeePMD-kit one member for each set, of others one for each formula and kind of labels.
    :raises UnreadableError: in one sentence, if a file cannot be read.
    """
    found: list[FrameSet] = []
    for path in map(Path, paths):
        if not path.exists():
            raise UnreadableError(f'There is no file or folder `{quoted(path)}`: correct the path.')
        if not path.is_dir():
            check_regular(path)
        where = quoted(path.resolve().name)
        with reading(where, 'give a file that is whole, and its format'):
            name = (fmt or format_of(path)).lower()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter('always')
                sets = _reader(name, type_map, keys, arguments)(path, where, intake)
        if not sets and not intake.missing(where):
            said = ''.join(f' ({line})' for line in _said(caught))[:400]
            raise UnreadableError(
                f'`{where}` has no frames that can be read as {name}{said}: give the format, if it is another.'
            )
        found += sets
        for line in _said(caught):
            intake.remark(line, where)
    return found


def _said(caught: Iterable[warnings.WarningMessage]) -> list[str]:
    """Return what libraries said about a file, each once."""
    texts = [reason(str(item.message)) for item in caught if item.category is UserWarning]
    return list(dict.fromkeys(texts))


def format_of(path: Path) -> str:
    """Return the format of a file or folder, judged by its content.

    :raises UnreadableError: if the format is not recognised.
    """
    if path.is_dir():
        if system_directories(path):
            return 'deepmd'
        if _vasp_runs(path):
            return 'vasp'
        if any(path.glob('*-pos-1.xyz')):
            return 'cp2k'
        raise UnreadableError(
            f'`{quoted(path.name)}` holds neither a DeePMD-kit system (`type.raw`) nor output of VASP '
            '(OUTCAR, vasprun.xml) or CP2K (-pos-1.xyz): give the files themselves.'
        )
    if _TRAJECTORY.search(path.name):
        return 'cp2k'
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in ('.gz', '.bz2', '.xz'):
        suffixes.pop()
    if suffixes and suffixes[-1] in ('.xyz', '.extxyz'):
        return 'extxyz'
    with path.open('rb') as file:
        head = file.read(HEAD)
    if head.startswith(b'\x89HDF'):
        return 'deepmd'
    if head.lstrip().startswith(b'vasp.') or OUTCAR in path.name:
        return 'vasp/outcar'
    if b'<modeling>' in head:
        return 'vasp/xml'
    if b'CP2K|' in head:
        return 'cp2k/output'
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        found = str(filetype(str(path)))
    except UnknownFileTypeError:
        found = ''
    if found not in ioformats:
        raise UnreadableError(f'The format of `{quoted(path.name)}` is not recognised: give the format.')
    if found.startswith('lammps-d') and b' element' not in head:
        # ASE takes the numbers of the types for those of elements.
        return 'lammps/lmp' if found == 'lammps-data' else 'lammps/dump'
    if found in STRUCTURES:
        raise UnreadableError(f'`{quoted(path.name)}` is a structure ({found}): use `aiida-dpasse import structure`.')
    return found


Reader = Callable[[Path, str, Intake], list[FrameSet]]


def _reader(
    fmt: str, type_map: Sequence[str] | None, keys: Mapping[str, str] | None, arguments: Mapping[str, Any]
) -> Reader:
    """Return the function that reads a format.

    :raises UnreadableError: for an unknown format.
    """
    from ase.io.formats import ioformats
    from dpdata.format import Format

    formats = Format.get_formats()
    if fmt.startswith('deepmd') and fmt != 'deepmd/lmdb':
        return lambda path, where, intake: _read_deepmd(path, where, intake, type_map)
    if fmt in ('vasp', 'outcar', 'vasp/outcar', 'xml', 'vasp/xml') and not arguments:
        return _read_vasp
    if fmt == 'cp2k':
        return _read_cp2k
    if fmt in ('extxyz', 'xyz') and not arguments:
        return lambda path, where, intake: sets_from_atoms(_extxyz(path), intake, keys, where)
    if fmt == 'cp2k/output':
        return _read_cp2k_log
    if fmt in formats:
        return lambda path, where, intake: _read_dpdata(path, where, intake, fmt, type_map, arguments)
    if fmt == 'ase' or fmt in ioformats:
        name = None if fmt == 'ase' else fmt
        return lambda path, where, intake: sets_from_atoms(_ase(path, name), intake, keys, where)
    raise UnreadableError(f'`{fmt}` is no format: take one of {", ".join(OWN)}, or the name of one of dpdata or ASE.')


def _read_deepmd(path: Path, where: str, intake: Intake, type_map: Sequence[str] | None) -> list[FrameSet]:
    """Read the systems of a folder or an HDF5 file; other files with frames in the folder are named."""
    if path.is_file():
        return read_hdf5(path, type_map, intake)
    others = sorted(file.name for suffix in BESIDE for file in path.rglob(f'*{suffix}'))
    if others:
        more = f' and {len(others) - 3} more' if len(others) > 3 else ''
        intake.remark(f'not read are {", ".join(others[:3])}{more}: give these files themselves.', where)
    return read_dataset(path, type_map, intake)


# -- ASE -------------------------------------------------------------------------------------------------------------


def _extxyz(path: Path) -> Iterator[ase.Atoms]:
    """Yield the frames of an extxyz file, also those behind an empty line, at which ASE's reader ends."""
    from ase.io.extxyz import read_xyz

    number, most = 0, most_lines(path, SHORTEST)
    with open_plain(path) as file:
        while header := file.readline():
            if not header.strip():
                continue
            number += 1
            where = f'Frame {number} of `{quoted(path.name)}`'
            count = int(header) if re.fullmatch(rb'\s*\d{1,12}\s*', header) else 0
            if not 0 < count <= most:
                raise UnreadableError(
                    f'{where} should begin with its number of atoms, at most the number of lines of the file: '
                    'correct it.'
                )
            rows = take_lines(file, count + 1, header)
            if len(rows) < count + 1:
                raise UnreadableError(f'{where} ends after {len(rows)} of {count + 1} lines: copy the file again.')
            if not has_plausible_columns(rows[0]):
                raise UnreadableError(f'{where} declares columns that no row has: correct its `Properties`.')
            try:
                text = b''.join([header, *rows]).decode('utf8')
                yield next(read_xyz(io.StringIO(text), 0))
            except UnicodeDecodeError as error:
                raise UnreadableError(f'{where} is no text in UTF-8: convert it.') from error
            except KeyError as error:
                name = quoted(error.args[0])[:40]
                raise UnreadableError(f'{where} names atoms `{name}`, which is no element: rename them.') from error
            except Exception as error:  # ASE's reader raises exceptions of any type for a broken file
                raise UnreadableError(f'{where} cannot be read as extxyz: {reason(error)}: correct it.') from error


def _ase(path: Path, fmt: str | None) -> Iterator[ase.Atoms]:
    """Yield the frames of a file in a format of ASE; of a database with its keys and data."""
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError, filetype

    try:
        if (fmt or filetype(str(path))) in ('db', 'json'):
            from ase.db import connect

            kind = fmt or filetype(str(path))
            for row in connect(str(path.resolve()), type=kind, use_lock_file=False).select():
                atoms = row.toatoms(add_additional_information=True)
                data = dict(atoms.info.get('data', {}))
                atoms.info = {**atoms.info.get('key_value_pairs', {}), **data.pop('origin', {}), **data}
                yield atoms
        else:
            _check_dump(path)
            yield from iread(str(path), ':', format=fmt, do_not_split_by_at_sign=True)
    except UnreadableError:
        raise
    except UnknownFileTypeError:
        raise UnreadableError(f'ASE does not recognise the format of `{quoted(path.name)}`: give it.') from None
    except Exception as error:  # ASE's readers raise exceptions of any type for a broken file
        raise UnreadableError(
            f'`{quoted(path.name)}` cannot be read by ASE: {reason(error)}: give a file that is whole, and its format.'
        ) from error


def _check_dump(path: Path) -> None:
    """Check that no frame of a LAMMPS dump declares more atoms than the file has lines.

    :raises UnreadableError: if one does.
    """
    with open_plain(path) as file, suppress(*DAMAGE):
        if not file.peek(64).lstrip().startswith(b'ITEM: '):  # type: ignore[attr-defined]
            return
        most = most_lines(path, SHORTEST)
        for row in file:
            if row.startswith(b'ITEM: NUMBER OF ATOMS'):
                count = next(file, b'').strip()
                if not re.fullmatch(rb'\d{1,12}', count) or int(count) > most:
                    raise UnreadableError(
                        f'`{quoted(path.name)}` declares a number of atoms that it has no lines for: correct it.'
                    )


# -- programs --------------------------------------------------------------------------------------------------------


def _take_calculated(frames: Sequence[CalculatedFrame], where: str, intake: Intake) -> list[FrameSet]:
    """Return the converged ones among calculated frames."""
    converged = [frame for frame in frames if frame.converged]
    if lost := len(frames) - len(converged):
        intake.leave_out(UNCONVERGED, where, lost)
    found = []
    for frame in converged:
        found += intake.take(
            where,
            frame.symbols,
            cells=[frame.cell],
            positions=[frame.positions],
            energies=[frame.energy],
            forces=[frame.forces],
            virials=None if frame.virial is None else [frame.virial],
        )
    return concatenate(found)


def _vasp_runs(folder: Path) -> list[Path]:
    """Return the folders at or below ``folder`` with output of VASP, sorted."""
    return sorted({path.parent for name in (OUTCAR, VASPRUN) for path in folder.rglob(name)})


def _read_vasp(path: Path, where: str, intake: Intake) -> list[FrameSet]:
    """Read a folder of runs, OUTCAR, or vasprun.xml; the latter with the convergence of the OUTCAR beside it."""
    if path.is_dir():
        runs = _vasp_runs(path)
        if not runs:
            raise UnreadableError(f'`{where}` holds neither OUTCAR nor vasprun.xml: give the folder of a run.')
        found = []
        for run in runs:
            name = quoted('/'.join((where, *run.relative_to(path).parts)))
            file = run / VASPRUN if (run / VASPRUN).is_file() else run / OUTCAR
            if not file.resolve().is_relative_to(path.resolve()):
                raise UnreadableError(
                    f'`{name}/{file.name}` is a link out of the folder, which is not followed: give the file itself.'
                )
            found += _read_vasp(file, f'{name}/{file.name}', intake)
        return concatenate(found)
    check_regular(path, where)
    if not _begins_with(path, b'<?xml'):
        return _read_outcar(path, where, intake)
    if _begins_with(path, b'<!DOCTYPE', b'<!ENTITY'):
        raise UnreadableError(f'`{where}` defines entities, which VASP does not write: remove them.')
    outcar = path.with_name(OUTCAR)
    text = outcar.read_text(errors='replace') if outcar.is_file() else None
    try:
        frames = read_vasp(path, text)
    except ValueError as error:
        if text is None:
            raise UnreadableError(f'`{where}`: {reason(error)}: give a file that is whole, or OUTCAR.') from error
        intake.remark(f'OUTCAR is read instead: {reason(error)}', where)
        return _read_outcar(outcar, where, intake)
    if cut := path.read_text(errors='replace').count('<calculation>') - len(frames):
        intake.leave_out('an end that was cut off', where, cut)
    return _take_calculated(frames, where, intake)


def _read_outcar(path: Path, where: str, intake: Intake) -> list[FrameSet]:
    """Read OUTCAR: frames by dpdata's parser, convergence by VASP's own statement for each step."""
    from dpdata.formats.vasp.outcar import get_frames

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'The following structures were unconverged')
            result = get_frames(str(path), convergence_check=False)
        names, _, types, cells, positions, energies, forces, pressures = result
        states = converged_steps(path.read_text(errors='replace'))
        if not len(energies) <= len(states) <= len(energies) + 1:
            # Which step a frame belongs to is unknown: dpdata's criterion of convergence, fewer steps than NELM.
            total = len(energies)
            intake.leave_out('no forces in OUTCAR (NWRITE = 0, a force field, or damage)', where, len(states) - total)
            *_, cells, positions, energies, forces, pressures = get_frames(str(path), convergence_check=True)
            states, lost = [True] * len(energies), total - len(energies)
        else:
            states = states[: len(energies)]
            lost = states.count(False)
    except Exception as error:  # dpdata's reader raises exceptions of any type for a broken file
        raise UnreadableError(f'`{where}` cannot be read as OUTCAR: {reason(error)}: copy it again.') from error
    if len(energies) == 0:
        raise UnreadableError(f'`{where}` has no ionic step that is complete: copy it again.')
    if lost:
        intake.leave_out(UNCONVERGED, where, lost)
    virials = None
    if pressures is not None and len(pressures) == len(energies):
        virials = pressures * np.linalg.det(cells)[:, None, None] * KILOBAR
    elif pressures is not None:
        intake.drop('stress that some steps lack', where, len(pressures))
    kept = np.array(states)
    return intake.take(
        where,
        [names[kind] for kind in types],
        cells=cells[kept],
        positions=positions[kept],
        energies=energies[kept],
        forces=forces[kept],
        virials=None if virials is None else virials[kept],
    )


def _read_cp2k(path: Path, where: str, intake: Intake) -> list[FrameSet]:
    """Read the folder of a run of CP2K: trajectories of positions, forces and cells, and the log."""
    folder = path if path.is_dir() else path.parent
    places = sorted(folder.glob('*-pos-1.xyz'))
    if len(places) != 1:
        raise UnreadableError(f'`{where}` holds {len(places)} files `*-pos-1.xyz`: give a folder with one run of CP2K.')
    project = places[0].name.removesuffix('-pos-1.xyz')
    files = {part: folder / f'{project}-{part}' for part in ('frc-1.xyz', '1.cell')}
    if missing := [file.name for file in files.values() if not file.is_file()]:
        raise UnreadableError(
            f'`{where}` lacks `{missing[0]}`: print it, or give the folder and the format cp2k/aimd_output of dpdata, '
            'which takes cell and forces from the log and does not check the convergence.'
        )
    logs = [file for file in sorted(folder.iterdir()) if file.is_file() and _begins_with(file, b'CP2K|', b'ENERGY|')]
    if len(logs) != 1:
        raise UnreadableError(f'`{where}` holds {len(logs)} logs of CP2K: one is needed beside `{places[0].name}`.')
    log = logs[0].read_text(errors='replace')
    match = _RUN_TYPE.search(log)
    relaxation = match is not None and match[1].endswith('_OPT')
    for file in (places[0], *files.values()):
        if not file.resolve().is_relative_to(folder.resolve()):
            raise UnreadableError(
                f'`{where}/{quoted(file.name)}` is a link out of the folder, which is not followed: give the '
                'file itself.'
            )
    positions, forces, cells = (file.read_text(errors='replace') for file in (places[0], *files.values()))
    frames = read_cp2k(positions, forces, cells, log, relaxation)
    if not frames:
        raise UnreadableError(
            f'`{where}` has no frame with energy, forces and stress: CP2K writes the stress with STRESS_TENSOR '
            'ANALYTICAL and its section PRINT.'
        )
    return _take_calculated(frames, where, intake)


def _read_cp2k_log(path: Path, where: str, intake: Intake) -> list[FrameSet]:
    """Read the log of a single point, with forces printed; dpdata reads nothing if the electrons did not converge."""
    sets = _read_dpdata(path, where, intake, 'cp2k/output', None, {})
    if not sets and 'SCF run NOT converged' in path.read_text(errors='replace'):
        intake.leave_out(UNCONVERGED, where, 1)
    return sets


def _begins_with(file: Path, *marks: bytes) -> bool:
    """Return whether one of ``marks`` is in the beginning of a file."""
    with file.open('rb') as handle:
        head = handle.read(HEAD)
    return any(mark in head for mark in marks)


# -- dpdata ----------------------------------------------------------------------------------------------------------


def _read_dpdata(
    path: Path, where: str, intake: Intake, fmt: str, type_map: Sequence[str] | None, arguments: Mapping[str, Any]
) -> list[FrameSet]:
    """Read a format of dpdata, with labels if it has them, in the orientation of the file."""
    import dpdata
    from dpdata.format import Format

    class Labelled(dpdata.LabeledSystem):
        """A system that dpdata does not turn to a lower triangular cell."""

        def rot_frame_lower_triangular(self, f_idx: int = 0) -> Any:
            return np.eye(3)

    class Bare(dpdata.System):
        """The same without labels."""

        rot_frame_lower_triangular = Labelled.rot_frame_lower_triangular

    if '@' in path.name and fmt.startswith('ase/'):
        raise UnreadableError(f'dpdata takes what follows the `@` in `{where}` for an index: rename the file.')
    if path.is_file():
        _check_dump(path)
    reader = Format.get_formats()[fmt]()
    given = {**arguments, **({} if type_map is None else {'type_map': list(type_map)})}
    several = type(reader).from_multi_systems is not Format.from_multi_systems
    failure, none = '', 'it holds no frames'
    # A format may have labels or not, which only its reader knows.
    for method, system in (('from_labeled_system', Labelled), ('from_system', Bare)):
        if getattr(type(reader), method) is getattr(Format, method):
            continue
        try:
            places = list(reader.from_multi_systems(str(path), **given)) if several else []
            members = [system().from_fmt_obj(reader, place, **given) for place in places or [str(path)]]
        except Exception as exception:  # dpdata's readers raise exceptions of any type for a broken file
            failure = reason(exception)
            continue
        if failure:
            intake.remark(f'read without labels, since there were none that dpdata could read ({failure})', where)
        return concatenate(item for member in members for item in sets_from_dpdata(member, intake, where, type_map))
    raise UnreadableError(
        f'`{where}` could not be read as `{fmt}`: {failure or none}: correct the file, or its format.'
    )
