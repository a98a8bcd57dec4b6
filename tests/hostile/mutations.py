"""Sound input of every reader, mutations of it, and what may come of reading it: a result, or one sentence.

Used by the tests beside it, with few mutations, and by `fuzz.py`, with hundreds.
"""

from __future__ import annotations

import gzip
import io
import random
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import made_up_models
import numpy as np
from ase import Atoms
from ase.io import write
from cif_text import cif
from click import ClickException
from fixtures_models import lennard_jones_frames
from hostile.models_inputs import GRAPH, graph
from vasp_files import outcar, run_stand_in

from aiida_dpasse.cli.arrhenius import report
from aiida_dpasse.cli.columns import read_measurements
from aiida_dpasse.cli.run_table import read_runs
from aiida_dpasse.cli.trajectory import Source, read_tracks
from aiida_dpasse.data.conversion import sets_to_ase, sets_to_dpdata
from aiida_dpasse.data.reading import read_files
from aiida_dpasse.deepmd.checkpoint import read_model_file
from aiida_dpasse.deepmd.dataset import write_dataset, write_mixed
from aiida_dpasse.deepmd.early_stop import flat_step
from aiida_dpasse.deepmd.intake import Intake
from aiida_dpasse.deepmd.lcurve import join_curves, parse_lcurve
from aiida_dpasse.deepmd.restart import latest_step, restarted_from
from aiida_dpasse.deepmd.training_log import parse_training_log
from aiida_dpasse.experiment.measured import find
from aiida_dpasse.lammps.datafile import format_data_file
from aiida_dpasse.lammps.deviation import parse_deviation
from aiida_dpasse.lammps.log import parse_log
from aiida_dpasse.structures.crystal_file import read_crystal
from aiida_dpasse.unreadable import UnreadableError

TESTS = Path(__file__).parents[1]
#: What a reader may raise: its error, or that of a command which prints it.
DOCUMENTED = (UnreadableError, ClickException)
#: Words of Python that no sentence for people holds.
PYTHON = re.compile(r'allow_pickle|NoneType|Traceback|(?<!\w)(Key|Index|Type|Attribute|Value)Error|object at 0x')


class Entrance(NamedTuple):
    """A reader: what writes a sound input into an empty folder, what reads it, and which of its files are mutated."""

    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    files: str = '**/*'


# -- sound input -----------------------------------------------------------------------------------------------------


def _dpdata(fmt: str) -> Callable[[Path], Any]:
    return lambda folder: sets_to_dpdata([lennard_jones_frames(3)]).to(fmt, str(folder / 'data'))


def _data_file(folder: Path) -> None:
    frames = lennard_jones_frames(1)
    kinds = {symbol: (symbol, 10.0) for symbol in dict.fromkeys(frames.symbols)}
    text, _ = format_data_file(frames.symbols, frames.cells[0], frames.positions[0], kinds)
    (folder / 'crystal.lmp').write_text(text)


def _walk() -> tuple[Any, list[str]]:
    """Return the positions (frames, atoms, 3) of six ions that hop among two that do not, and the symbols."""
    rng = np.random.default_rng(0)
    steps = rng.choice([-1.0, 0.0, 1.0], size=(12, 6, 3)).cumsum(axis=0)
    sites = rng.uniform(0, 10, size=(1, 8, 3)) + np.concatenate([steps, np.zeros((12, 2, 3))], axis=1)
    return sites, ['Li'] * 6 + ['S'] * 2


def _dump(folder: Path, name: str = 'run.lammpstrj', images: bool = False) -> None:
    positions, symbols = _walk()
    lines = []
    for step, frame in enumerate(positions):
        lines += ['ITEM: TIMESTEP', str(10 * step), 'ITEM: NUMBER OF ATOMS', '8']
        lines += ['ITEM: BOX BOUNDS xy xz yz pp pp pp', '0 10 0', '0 10 0', '0 10 0']
        lines.append('ITEM: ATOMS id type element ' + ('x y z ix iy iz' if images else 'xu yu zu'))
        for number, (symbol, place) in enumerate(zip(symbols, frame, strict=True), 1):
            kind = 1 if symbol == 'Li' else 2
            extra = ' 0 0 1' if images else ''
            lines.append(f'{number} {kind} {symbol} {place[0]:.5f} {place[1]:.5f} {place[2]:.5f}{extra}')
    text = '\n'.join(lines) + '\n'
    if name.endswith('.gz'):
        (folder / name).write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        (folder / name).write_text(text)


def _images(labelled: bool = False) -> list[Atoms]:
    if labelled:
        return sets_to_ase([lennard_jones_frames(3)])
    positions, symbols = _walk()
    return [Atoms(symbols, positions=frame, cell=[10] * 3, pbc=True) for frame in positions]


def _xdatcar(folder: Path) -> None:
    write(folder / 'XDATCAR', _images(), format='vasp-xdatcar')


def _dcd(folder: Path) -> None:
    import MDAnalysis

    write(folder / 'topology.extxyz', _images()[0], format='extxyz')
    positions, _ = _walk()
    universe = MDAnalysis.Universe.empty(8, trajectory=True)
    with MDAnalysis.Writer(str(folder / 'run.dcd'), n_atoms=8) as writer:
        for frame in positions:
            universe.atoms.positions = frame
            universe.dimensions = [10, 10, 10, 90, 90, 90]
            writer.write(universe.atoms)


@cache
def _stand_in() -> Path:
    folder = Path(mkdtemp())
    run_stand_in(folder)
    return folder


def _vasprun(folder: Path) -> None:
    for name in ('vasprun.xml', 'OUTCAR'):
        shutil.copy(_stand_in() / name, folder)


def _cp2k(folder: Path) -> None:
    for path in (TESTS / 'cp2k' / 'fixtures').iterdir():
        shutil.copy(path, folder)


def _cp2k_trajectory(folder: Path) -> None:
    positions, symbols = _walk()
    with (folder / 'run-pos-1.xyz').open('w') as file:
        for step, frame in enumerate(positions):
            file.write(f'8\n i = {step:8d}, time = {step:12.3f}, E = -10.0000000000\n')
            for symbol, row in zip(symbols, frame, strict=True):
                file.write(f' {symbol} {row[0]:.10f} {row[1]:.10f} {row[2]:.10f}\n')


def _text(name: str, text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(text)


CURVE = (
    '# step       rmse_trn    rmse_e_trn    rmse_f_trn   lr\n'
    '# If there is no available reference data, rmse_*_{val,trn} will print nan\n'
    '  1  4.0e+01  1.0e-01  1.3e+00  1.0e-03\n 10  2.0e+01  2.0e-01  1.2e+00  3.2e-04\n'
    ' 20  1.0e+01  2.0e-01  1.1e+00  3.1e-04\n'
)
TRAINING = (
    'DEEPMD INFO    Source:                v3.1.2\nDEEPMD INFO    start training at lr 1.00e-03\n'
    'DEEPMD INFO    batch     100: total wall time = 2.50 s\nDEEPMD INFO    batch     200: total wall time = 2.40 s\n'
    'DEEPMD INFO    average training time: 0.0240 s/batch\nSaved model to model.ckpt-200\n'
    'restart from step 200\nflat at step 200\nmodel.ckpt-200\nfinished training\n'
    'Traceback (most recent call last):\nRuntimeError: x\n'
)
LOG = (
    'LAMMPS (22 Jul 2025 - Update 2)\nSetting up Verlet run ...\n  Current step  : 0\n'
    '   Step          Temp          PotEng         Press    \n'
    '         0   300            -12.5         1000\n        10   310.5          -12.25       -2500\n'
    'Loop time of 0.5 on 1 procs for 10 steps with 12 atoms\n'
    '99.5% CPU use with 1 MPI tasks x 1 OpenMP threads\n'
    'Fix halt condition for fix-id heating met on step 10 with value 900\n'
    'ERROR: Lost atoms: original 52 current 51 (src/thermo.cpp:494)\nTotal wall time: 1:02:03\n'
)
DEVIATION = (
    '#       step  max_devi_v  min_devi_v  avg_devi_v  max_devi_f  min_devi_f  avg_devi_f\n'
    '           0       1.0e-03  1.0e-03  1.0e-03  1.0e-01  1.0e-02  5.0e-02\n'
    '          10       1.0e-03  1.0e-03  1.0e-03  2.0e-01  1.0e-02  5.0e-02\n'
)
TABLE = (
    'temperature_K,diffusivity_cm2_s,error_cm2_s,volume_A3,ions\n'
    '500,1e-6,1e-7,1000,24\n600,4e-6,4e-7,1000,24\n700,1e-5,1e-6,1000,24\n800,2e-5,2e-6,1000,24\n'
)
RUNS = 'file,temperature_K,timestep_fs\nrun1.lammpstrj,500,1\nrun2.lammpstrj,600,1\n'


def _checkpoint(folder: Path) -> None:
    """Write the smallest file that is read as a checkpoint of PyTorch."""
    import torch

    model = {
        'type_map': ['Li', 'S'],
        'descriptor': {'type': 'se_e2_a', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': [8, 8], 'neuron': [4, 8]},
        'fitting_net': {'neuron': [8, 8]},
    }
    weights = {f'model.Default.atomic_model.fitting_net.{i}.matrix': torch.zeros(4, 8) for i in range(2)}
    extra = {'model_params': model, 'train_infos': {'step': 4}}
    torch.save({'model': {**weights, '_extra_state': extra}}, folder / 'model.pt')


# -- readers ---------------------------------------------------------------------------------------------------------


def frames(path: Path, fmt: str | None = None, **options: Any) -> Any:
    """Read frames as `aiida-dpasse import frames` does."""
    intake = Intake()
    found = read_files([path], intake, fmt, **options)
    intake.notes(skip=True)
    return found


def _frames(name: str = '', fmt: str | None = None, **options: Any) -> Callable[[Path], Any]:
    return lambda folder: frames(folder / name, fmt, **options)


def tracks(path: Path, **options: Any) -> Any:
    """Read the tracks of lithium as `aiida-dpasse transport` does."""
    return read_tracks(Source((path,), **{'interval': 10.0, **options}), ['Li'])


def _tracks(name: str, **options: Any) -> Callable[[Path], Any]:
    return lambda folder: tracks(folder / name, **options)


def _topology(folder: Path) -> Any:
    return tracks(folder / 'run.dcd', topology=folder / 'topology.extxyz')


def _parse(name: str, *parsers: Callable[[str], Any]) -> Callable[[Path], Any]:
    def read(folder: Path) -> None:
        text = (folder / name).read_text(errors='replace')
        for parser in parsers:
            parser(text)

    return read


def _curve(text: str) -> None:
    curve = parse_lcurve(text)
    _ = (curve.last, curve.first_diverged, curve.last_good_step, join_curves([curve, curve]))


def _read_log(text: str) -> None:
    log = parse_log(text)
    _ = (log.exploded, log.last_step, log.katom_steps_per_s)


def _arrhenius(folder: Path) -> None:
    with redirect_stdout(io.StringIO()):
        report(read_measurements(folder / 'table.csv'), 'table.csv', 300.0)


#: Every reader by its name.
ENTRANCES = {
    'npy': Entrance(lambda folder: write_dataset([lennard_jones_frames(3)], folder), _frames()),
    'npy headers': Entrance(lambda folder: write_dataset([lennard_jones_frames(3)], folder), _frames(), '**/*.npy'),
    'mixed': Entrance(lambda folder: write_mixed([lennard_jones_frames(3)], folder, ['Li', 'P', 'S', 'Cl']), _frames()),
    'raw': Entrance(_dpdata('deepmd/raw'), _frames()),
    'hdf5': Entrance(_dpdata('deepmd/hdf5'), _frames('data')),
    'data file': Entrance(_data_file, _frames('crystal.lmp', 'lammps/lmp', type_map=['Cl', 'Li', 'P', 'S'])),
    'dump': Entrance(_dump, _tracks('run.lammpstrj')),
    'dump with images': Entrance(lambda folder: _dump(folder, images=True), _tracks('run.lammpstrj')),
    'dump gz': Entrance(lambda folder: _dump(folder, 'run.lammpstrj.gz'), _tracks('run.lammpstrj.gz')),
    'dump as frames': Entrance(_dump, _frames('run.lammpstrj')),
    'log': Entrance(_text('log.lammps', LOG), _parse('log.lammps', _read_log)),
    'deviation': Entrance(_text('devi.out', DEVIATION), _parse('devi.out', parse_deviation)),
    'OUTCAR': Entrance(_text('OUTCAR', outcar(True, True)), _frames('OUTCAR')),
    'vasprun': Entrance(_vasprun, _frames('vasprun.xml'), '*.xml'),
    'vasp folder': Entrance(_vasprun, _frames()),
    'XDATCAR': Entrance(_xdatcar, _tracks('XDATCAR')),
    'cp2k': Entrance(_cp2k, _frames()),
    'cp2k trajectory': Entrance(_cp2k_trajectory, _tracks('run-pos-1.xyz', cell=np.eye(3) * 10)),
    'extxyz': Entrance(lambda folder: write(folder / 'run.extxyz', _images(), format='extxyz'), _tracks('run.extxyz')),
    'extxyz as frames': Entrance(
        lambda folder: write(folder / 'run.extxyz', _images(labelled=True), format='extxyz'), _frames('run.extxyz')
    ),
    'ase trajectory': Entrance(
        lambda folder: write(folder / 'run.traj', _images(labelled=True), format='traj'), _frames('run.traj')
    ),
    'ase database': Entrance(
        lambda folder: write(folder / 'run.db', _images(labelled=True), format='db'), _frames('run.db')
    ),
    'DCD': Entrance(_dcd, _topology, '*.dcd'),
    'CIF': Entrance(
        _text('crystal.cif', cif('Li1 Li 0 0 0 0.5\nS1 S 0.5 0.5 0.5 1\n')),
        lambda folder: read_crystal(folder / 'crystal.cif'),
    ),
    'POSCAR': Entrance(
        lambda folder: write(folder / 'POSCAR', _images()[0], format='vasp'),
        lambda folder: read_crystal(folder / 'POSCAR'),
    ),
    'lcurve': Entrance(_text('lcurve.out', CURVE), _parse('lcurve.out', _curve)),
    'training log': Entrance(
        _text('train.log', TRAINING), _parse('train.log', parse_training_log, latest_step, restarted_from, flat_step)
    ),
    'table': Entrance(_text('table.csv', TABLE), _arrhenius),
    'table of runs': Entrance(_text('runs.csv', RUNS), lambda folder: read_runs(folder / 'runs.csv')),
    'formula': Entrance(_text('formula', 'Li5.9PS4.9Cl1.1'), _parse('formula', find)),
    'checkpoint': Entrance(_checkpoint, lambda folder: read_model_file(folder / 'model.pt')),
    'frozen pth': Entrance(
        lambda folder: made_up_models.frozen(folder / 'model.pth'), lambda folder: read_model_file(folder / 'model.pth')
    ),
    'frozen pb': Entrance(
        lambda folder: graph(GRAPH)(folder / 'model.pb'), lambda folder: read_model_file(folder / 'model.pb')
    ),
}


# -- mutations -------------------------------------------------------------------------------------------------------

#: What stands for a number.
NUMBERS = (
    *(b'-1', b'0', b'0.5', b'-0', b'1e400', b'-1e308', b'1e-300', b'nan', b'inf', b'-inf', b'NaN', b'', b'x', b'0x10'),
    *(b'99999999999999999999999', b'1000000000', b'2147483648', b'1_0', b'1e5', b'********', b'1+2j', b'True'),
    *('\u00b2'.encode(), '\u0663'.encode(), b'\xff\xfe', b'\x00', b'1.0-191', b'9' * 5000),
)
#: What stands for a word.
WORDS = (b'', b'Foo', b'..', b'/etc', b'../../up', b'\x1b[2J', b'$x$', b'\xff', b'Li', b'X', b'\x00', b'A' * 3000)
#: Parts of headers of npy files.
SHAPES = (
    b'(0,)',
    b'()',
    b'(1000000000000, 3)',
    b'(-1, 3)',
    b'(3, 36, 1, 1)',
    b'((3,),)',
    b'(True, 36)',
    b'(3)',
    b'[3]',
)
TYPES = (
    b"'|O'",
    b"'<c16'",
    b"'<M8[s]'",
    b"'<f4'",
    b"'<U9999999'",
    b"'>f8'",
    b"'<i8'",
    b"'|b1'",
    b"[('a', '<f8')]",
    b"'x'",
)
_NUMBER, _WORD = re.compile(rb'-?\d+\.?\d*(?:[eE][-+]?\d+)?'), re.compile(rb'[A-Za-z_]{2,}')


def mutate(chance: random.Random, content: bytes) -> bytes:
    """Return content with one to three mutations, those of the bytes or of what they hold.

    :param chance: where the choices come from.
    :param content: content of a file.
    """
    for _ in range(chance.choice((1, 1, 2, 3))):
        if content.startswith(b'\x1f\x8b') and chance.random() < 0.6:
            content = _inside_gzip(chance, content)
        elif content.startswith(b'PK') and chance.random() < 0.6:
            content = _inside_zip(chance, content)
        elif content.startswith(b'\x93NUMPY') and chance.random() < 0.6:
            content = _numpy_header(chance, content)
        else:
            content = chance.choice(MUTATORS)(chance, content)
    return content


def _inside_gzip(chance: random.Random, content: bytes) -> bytes:
    try:
        return gzip.compress(chance.choice(MUTATORS)(chance, gzip.decompress(content)), 1, mtime=0)
    except (OSError, EOFError, ValueError, zlib.error):
        return content[: len(content) // 2]


def _inside_zip(chance: random.Random, content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = chance.choice(list(members))
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, 'w') as archive:
            for each, data in members.items():
                archive.writestr(each, chance.choice(MUTATORS)(chance, data) if each == name else data)
        return buffer.getvalue()
    except Exception:
        return content[: len(content) // 2]


def _numpy_header(chance: random.Random, content: bytes) -> bytes:
    size = int.from_bytes(content[8:10], 'little')
    header, rest = content[10 : 10 + size], content[10 + size :]
    kind = chance.randrange(4)
    if kind == 0:
        header = re.sub(rb"'shape': \([^)]*\)", b"'shape': " + chance.choice(SHAPES), header)
    elif kind == 1:
        header = re.sub(rb"'descr': '[^']*'", b"'descr': " + chance.choice(TYPES), header)
    elif kind == 2:
        header = header.replace(b'False', chance.choice((b'True', b'None', b'1')))
    else:
        header = chance.choice(MUTATORS)(chance, header)
    if chance.random() < 0.8:
        size = len(header)
    return content[:8] + (size % 65536).to_bytes(2, 'little') + header + rest


def _replace(pattern: re.Pattern[bytes], values: tuple[bytes, ...], chance: random.Random, content: bytes) -> bytes:
    places = list(pattern.finditer(content[:200_000]))
    if not places:
        return content + chance.choice(values)
    place = chance.choice(places)
    return content[: place.start()] + chance.choice(values) + content[place.end() :]


def _number(chance: random.Random, content: bytes) -> bytes:
    return _replace(_NUMBER, NUMBERS, chance, content)


def _word(chance: random.Random, content: bytes) -> bytes:
    return _replace(_WORD, WORDS, chance, content)


def _lines(chance: random.Random, content: bytes) -> bytes:
    lines = content.split(b'\n')
    one, two = (chance.randrange(len(lines)) for _ in range(2))
    kind = chance.randrange(4)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(one, lines[two])
    elif kind == 2:
        lines[one], lines[two] = lines[two], lines[one]
    else:
        lines[one] = b' '.join(chance.sample(words := lines[one].split(), len(words)))
    return b'\n'.join(lines)


def _bytes(chance: random.Random, content: bytes) -> bytes:
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 4, 16))):
        if found:
            # The beginnings of files are where their structure is.
            found[chance.randrange(min(len(found), chance.choice((64, 512, len(found)))))] = chance.randrange(256)
    return bytes(found)


def _cut(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _hole(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content) + 1)
    return content[:at] + content[at + chance.choice((1, 8, 100)) :]


def _insert(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(len(content) + 1)
    extra = chance.choice((b'\x00' * 8, b'\xff' * 4, b'(' * 3000, b'\n\n', b'[{' * 500, b'9' * 400, content[:200]))
    return content[:at] + extra + content[at:]


MUTATORS = (_number, _number, _word, _lines, _bytes, _cut, _hole, _insert)


def write_mutated(entrance: Entrance, folder: Path, seed: int) -> Path:
    """Write the input of a reader into an empty folder with one of its files mutated, and return that file.

    :param entrance: the reader.
    :param folder: an empty folder.
    :param seed: determines the mutation.
    """
    chance = random.Random(seed)
    shutil.copytree(sample(entrance), folder, dirs_exist_ok=True)
    path = chance.choice(sorted(path for path in folder.glob(entrance.files) if path.is_file()))
    path.write_bytes(mutate(chance, path.read_bytes()))
    return path


@cache
def sample(entrance: Entrance) -> Path:
    """Return a folder with the sound input of a reader.

    :param entrance: the reader.
    """
    folder = Path(mkdtemp())
    entrance.make(folder)
    return folder


def outcome(entrance: Entrance, folder: Path) -> str:
    """Return what comes of reading: ``read``, ``refused``, or the exception that nobody documented.

    :param entrance: the reader.
    :param folder: folder with its input.
    """
    try:
        entrance.read(folder)
    except DOCUMENTED as error:
        text = str(error)
        if found := PYTHON.search(text):
            return f'says {found[0]}: {text[:200]}'
        if '\n' in text or '\x1b' in text or '\x00' in text:
            return f'is no line: {text[:200]!r}'
        return 'refused' if len(text) < 1500 else f'is no sentence ({len(text)} characters): {text[:100]}'
    except Exception as error:  # what the mutations are for
        return f'{type(error).__name__}: {str(error)[:200]}'
    return 'read'
