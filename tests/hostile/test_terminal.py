"""What reaches the terminal and the disk: nothing acts, nothing is overwritten unasked, everything is one sentence."""

from __future__ import annotations

import ast
import errno
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest
from aiida import orm
from ase import Atoms
from ase.io import write
from click.testing import CliRunner

import aiida_dpasse
from aiida_dpasse import quoting
from aiida_dpasse.cli.main import cli
from aiida_dpasse.cli.passport import load_labeller
from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.cli.watch import Display
from aiida_dpasse.whole import whole_files

PACKAGE = Path(aiida_dpasse.__file__).parent
EXAMPLES = PACKAGE.parent / 'examples'
#: Clears the screen, sets the title, forges a line, turns the direction of the text, and is no UTF-8.
NASTY = 'a\x1b[2J\x1b]0;t\x07\nSHA-256  0000\u202eb\udcff'
#: A name of a file that is not UTF-8 and clears the screen.
STRANGE = os.fsdecode(b'a\xff\x1b[2J')


def run(*arguments: object, **options: object):
    """Run the command as `main` does, without its last barrier."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], **options)


def refused(result) -> str:
    """Return the sentence of a command that refused its input."""
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == 2, result.output
    assert 'Traceback' not in result.output
    for character in result.output:
        assert character == '\n' or character.isprintable(), repr(result.output)
    return result.output.strip().splitlines()[-1]


@pytest.fixture
def table(tmp_path) -> Path:
    """A table of diffusivities."""
    path = tmp_path / 'table.csv'
    path.write_text(
        'T (K),D (cm2/s)\n' + ''.join(f'{t},{1e-3 * np.exp(-3000 / t):.4e}\n' for t in (500, 600, 700, 800))
    )
    return path


@pytest.fixture
def trajectory(tmp_path) -> Path:
    """Twelve frames of a crystal."""
    path = tmp_path / 'run.extxyz'
    cell = [4.0, 4.0, 4.0]
    atoms = Atoms('Li2S2', [[0, 0, 0], [2, 0, 0], [0, 2, 2], [2, 2, 2]], cell=cell, pbc=True)
    moved = atoms.copy()
    moved.positions[0] += 0.1
    write(path, [atoms, moved] * 6)
    return path


# The places that write


def calls(path: Path, *names: str) -> list[str]:
    """Return the calls of some functions in a file, as text."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding='utf8'))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
            found.append(f'{path.name}:{node.lineno}: {ast.unparse(node)[:90]}')
    return found


#: Where text is written to a stream directly, and why that is no hole.
WRITERS = {
    'cli/output.py': 'the barrier itself',
    'study/run_chain.py': 'quoted there: `study/` may not import `cli/`',
}


def test_one_function_writes_on_the_terminal():
    """`say` quotes; the drivers run on the compute machine and write no text of nodes but into logs there."""
    names = ('click.echo', 'click.secho', 'print', 'sys.stdout.write', 'sys.stderr.write')
    for path in [*PACKAGE.rglob('*.py'), *EXAMPLES.glob('*.py')]:
        place = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name
        if place in WRITERS or place.startswith('drivers/') or place == 'installed.py':
            continue
        assert not calls(path, *names), 'write with aiida_dpasse.cli.output.say'
    assert 'quoting' in calls(PACKAGE / 'study/run_chain.py', 'print')[0]


#: Names of variables that hold text of ours, or text that was quoted where it was made, by file.
OURS = {
    'md_report.py': {'label', 'x_label'},  # titles of its own table of quantities
    'learning_curve_report.py': {'label', 'kind'},  # kinds and panels of its own tables
    'test_sets_report.py': {'label'},  # quoted in the line before
    'label_report.py': {'label'},  # quoted in the line before
    'landscape_plot.py': {'label'},  # names of its own curves
    'locality_report.py': {'SPREAD', 'label'},
    'model_study_report.py': {'label', 'fit'},  # quantities of its own, and numbers
    'report_card_plot.py': {'label', 'title', 'shown'},  # quoted in the parity, else titles of its own
    'benchmark_report.py': {'name', '_legend', 'exponents'},  # spans of its own; `_legend` quotes
    'active_learning_report.py': {'name', 'label'},  # classes of its own; quoted in the line before
    'msd.py': {'label'},  # quoted by its caller
    'arrhenius_plot.py': {'axis', 'text', 't0', '_significant', 'extrapolation'},
    'learning.py': {'label', 'count'},
    'maps_plot.py': {'label', 'axis'},
    'style.py': {'text', 'size', 'label', 'sizes'},  # functions that pass on what their callers quote
}
#: Functions that quote or that return numbers.
HARMLESS = {'quoting.plot', 'len', 'str', 'float', 'range', 'min', 'max', 'fill', 'zip'}
WRITING = {'set_title', 'set_xlabel', 'set_ylabel', 'text', 'annotate', 'note', 'supxlabel', 'supylabel', 'suptitle'}
KEYWORDS = {'label', 'title', 'xlabel', 'ylabel'}


def unquoted(node: ast.AST, ours: set[str]) -> list[str]:
    """Return the names in an expression that are neither quoted, nor numbers by their format, nor text of ours."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in HARMLESS - {'fill', 'zip'}:
        return []
    if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
        kind = ast.unparse(node.format_spec).rstrip('"\'')[-1:]
        return [] if kind in tuple('defg%') else [ast.unparse(node)]
    if isinstance(node, ast.IfExp):
        return [*unquoted(node.body, ours), *unquoted(node.orelse, ours)]
    if isinstance(node, ast.Name):
        return [] if node.id in ours | HARMLESS else [node.id]
    if isinstance(node, ast.Subscript):
        return unquoted(node.value, ours)
    return [name for child in ast.iter_child_nodes(node) for name in unquoted(child, ours)]


def test_text_of_nodes_is_quoted_in_every_plot():
    """Every name, title and label of a picture is text of ours, a number, or quoted."""
    found = []
    for path in [*(PACKAGE / 'reports').glob('*.py'), *PACKAGE.glob('*/*_report.py'), *PACKAGE.glob('*/*_plot.py')]:
        source = path.read_text(encoding='utf8')
        if 'picture' not in source and path.name != 'style.py':
            continue
        ours = OURS.get(path.name, set())
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            texts = [keyword.value for keyword in node.keywords if keyword.arg in KEYWORDS]
            if name in WRITING and ast.unparse(node.func) != 'quoting.plot':
                position = {'text': 2, 'note': 1}.get(name, 0)
                texts += node.args[position : position + 1]
            if name in ('set_yticks', 'set_xticks'):
                texts += node.args[1:2]
            if name in ('Table', 'replace', 'Call', 'Batch') or name == 'of':
                continue
            for text in texts:
                inner = text.elt if isinstance(text, ast.ListComp) else text
                found += [f'{path.name}:{node.lineno}: {each}' for each in unquoted(inner, ours)]
    assert not found


def test_a_refusal_shows_all_of_a_name_and_does_nothing():
    shown = Refusal(f'{NASTY} does not exist.').format_message()
    assert shown == f'{quoting.paragraph(NASTY)} does not exist.'
    assert '\x1b' not in shown
    assert shown.splitlines()[1].startswith('  | ')


def test_names_of_files_and_columns_forge_no_line(table, trajectory, tmp_path):
    """A name with a line break is shown in one line, wherever a command prints it."""
    name = 'a\n  σ(300 K)   9.9 mS.csv'
    forged = tmp_path / name
    header = f'T (K),D (cm2/s),"{name}"\n'
    forged.write_text(header + ''.join(f'{line},1\n' for line in table.read_text().splitlines()[1:]))
    moving = tmp_path / f'{name}.extxyz'
    moving.write_bytes(trajectory.read_bytes())
    for command in (
        ('arrhenius', forged),
        ('density', moving, '--timestep', 100, '--ion', 'Li', '--spacing', 1),
        ('rdf', moving, '--timestep', 100),
        ('rdf', tmp_path / f'{name}.nothing', '--timestep', 100),
    ):
        result = run(*command)
        assert not any(line.startswith('  σ(300 K)   9.9') for line in result.output.splitlines()), result.output
        assert 'Traceback' not in result.output


def test_the_display_writes_one_line_for_each_text(tmp_path):
    path = tmp_path / 'display'
    with path.open('w') as stream:
        Display(stream).note(NASTY)
    assert path.read_text() == f'{quoting.line(NASTY)}\n'


# Files


def outputs(table: Path, trajectory: Path, target: Path) -> dict[str, tuple[object, ...]]:
    """Return a call of every command that writes a file without a profile."""
    frames = (trajectory, '--timestep', 100)
    return {
        'arrhenius --json': ('arrhenius', table, '--json', target),
        'arrhenius --plot': ('arrhenius', table, '--plot', target.with_suffix('.png')),
        'experiment': ('experiment', 'Li6PS5Cl', '--json', target),
        'density --json': ('density', *frames, '--ion', 'Li', '--spacing', 1, '--json', target),
        'density --cube': ('density', *frames, '--ion', 'Li', '--spacing', 1, '--cube', target.with_suffix('.cube')),
        'density --chgcar': ('density', *frames, '--ion', 'Li', '--spacing', 1, '--chgcar', target.with_name('CHGCAR')),
        'rdf --csv': ('rdf', *frames, '--csv', target.with_suffix('.csv')),
        'rdf --plot': ('rdf', *frames, '--plot', target.with_suffix('.pdf')),
        'vanhove': ('vanhove', *frames, '--ion', 'Li', '--csv', target.with_suffix('.csv')),
    }


WRITES = list(outputs(Path(), Path(), Path('a')))


@pytest.mark.parametrize('name', WRITES)
def test_files_are_overwritten_with_force_only(name, table, trajectory, tmp_path):
    folder = tmp_path / 'out'
    folder.mkdir()
    command = outputs(table, trajectory, folder / 'result.json')[name]
    assert run(*command).exit_code == 0
    [path] = folder.iterdir()
    content = path.read_bytes()
    assert content
    path.write_text('mine')
    path.chmod(0o640)
    assert '--force' in refused(run(*command))
    assert path.read_text() == 'mine'
    assert run(*command, '--force').exit_code == 0
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize('name', WRITES)
def test_a_missing_or_closed_folder_is_one_sentence(name, table, trajectory, tmp_path):
    refused(run(*outputs(table, trajectory, tmp_path / 'nowhere' / 'result.json')[name]))
    refused(run(*outputs(table, trajectory, table / 'result.json')[name]))
    refused(run(*outputs(table, trajectory, Path('/proc/result.json'))[name]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['run.extxyz', 'table.csv']


@pytest.mark.parametrize('force', [(), ('--force',)])
@pytest.mark.parametrize(
    'command',
    [
        ('arrhenius', 'table.csv', '--json', 'table.csv'),
        ('arrhenius', 'table.csv', '--plot', 'sub/../table.csv'),
        ('arrhenius', 'table.csv', '--json', 'link'),
        ('density', 'run.extxyz', '--timestep', '1', '--ion', 'Li', '--json', 'run.extxyz'),
        ('density', 'run.extxyz', '--timestep', '1', '--ion', 'Li', '--cube', 'hard'),
        ('rdf', '.', '--timestep', '1', '--csv', 'dump.lammpstrj'),
        ('transport', 'runs.csv', '--timestep', '1', '--ion', 'Li', '--json', 'run.extxyz'),
        ('transport', 'run.extxyz', '--timestep', '1', '--ion', 'Li', '--temperature', '600', '--msd', 'run.extxyz'),
        ('potential', 'show', 'table.csv', '--json', 'table.csv'),
        ('dpgen', 'convert', 'param.json', '-o', 'param.json'),
        ('dpgen', 'convert', 'param.json', 'machine.json', '-o', 'machine.json'),
    ],
)
def test_no_input_is_ever_overwritten(command, force, table, trajectory, tmp_path, monkeypatch, aiida_profile):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'link').symlink_to('table.csv')
    os.link('run.extxyz', 'hard')
    for name in ('param.json', 'machine.json', 'dump.lammpstrj'):
        (tmp_path / name).write_text('{}')
    (tmp_path / 'runs.csv').write_text('file,temperature_K\nrun.extxyz,600\n')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    refused(run(*command, *force))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_two_outputs_are_two_files(table, tmp_path):
    refused(run('arrhenius', table, '--json', tmp_path / 'a.svg', '--plot', tmp_path / 'a.svg'))
    assert not (tmp_path / 'a.svg').exists()


def test_a_link_to_a_file_is_followed_and_a_device_is_written_to(table, tmp_path):
    (tmp_path / 'real.json').write_text('old')
    (tmp_path / 'link.json').symlink_to('real.json')
    assert run('arrhenius', table, '--json', tmp_path / 'link.json').exit_code == 2
    assert run('arrhenius', table, '--json', tmp_path / 'link.json', '--force').exit_code == 0
    assert (tmp_path / 'link.json').is_symlink()
    assert json.loads((tmp_path / 'real.json').read_text())['quantity'] == 'diffusivity'
    assert run('arrhenius', table, '--json', '/dev/null').exit_code == 0
    program = 'from aiida_dpasse.cli.main import main; main()'
    command = [sys.executable, '-c', program, 'arrhenius', str(table), '--json', '/dev/stdout']
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout.partition('\n}\n')[0] + '}')['quantity'] == 'diffusivity'


#: Runs a command with files of at most 200 bytes, which is how a full disk looks to a program.
FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
sys.dont_write_bytecode = True
from aiida_dpasse.cli.main import main
main()
"""


@pytest.mark.parametrize('output', ['--json', '--plot'])
def test_a_full_disk_leaves_nothing_and_the_file_that_was_there(output, table, tmp_path):
    folder = tmp_path / 'out'
    folder.mkdir()
    (folder / 'a.svg').write_text('mine')
    command = [sys.executable, '-c', FULL, 'arrhenius', str(table), output, str(folder / 'a.svg'), '--force']
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith('Error:')
    assert 'Traceback' not in done.stderr
    assert {path.name: path.read_text() for path in folder.iterdir()} == {'a.svg': 'mine'}


def fill(place: Path, files: dict[str, str], overwrite: bool = False, error: BaseException | None = None) -> None:
    """Write files to a folder, and raise an error at the end."""
    with whole_files(place, overwrite) as partial:
        for name, content in files.items():
            (partial / name).write_text(content)
        if error is not None:
            raise error


def contents(place: Path) -> dict[str, str]:
    """Return the files of a folder."""
    return {path.name: path.read_text() for path in place.iterdir()}


def test_files_of_a_folder_are_all_there_or_none(tmp_path):
    place = tmp_path / 'made'
    full = OSError(errno.ENOSPC, 'No space left on device')
    with pytest.raises(OSError, match='No space'):
        fill(place, {'one': '1'}, error=full)
    assert not place.exists()
    place.mkdir()
    (place / 'two').write_text('mine')
    with pytest.raises(FileExistsError):
        fill(place, {'one': '1', 'two': '2'})
    for error in (full, KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fill(place, {'one': '1', 'two': '2'}, overwrite=True, error=error)
        assert contents(place) == {'two': 'mine'}
    fill(place, {'two': '2'}, overwrite=True)
    assert contents(place) == {'two': '2'}


# Arguments


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Return every command below a group."""
    if not isinstance(command, click.Group):
        return {path: command}
    context = click.Context(command)
    return {
        name: leaf
        for word in command.list_commands(context)
        for name, leaf in leaves(command.get_command(context, word), (*path, word)).items()
    }


COMMANDS = leaves(cli)
#: Options that a command needs besides its arguments.
NEEDED = {
    ('transport',): ('--ion', 'Li', '--temperature', '600', '--timestep', '1'),
    ('density',): ('--ion', 'Li', '--timestep', '1'),
    ('sites',): ('--ion', 'Li', '--timestep', '1'),
    ('vanhove',): ('--ion', 'Li', '--timestep', '1'),
    ('rdf',): ('--timestep', '1'),
    ('passport',): ('--calculator', 'emt'),
    ('import', 'structure'): ('--dry-run',),
    ('import', 'frames'): ('--dry-run',),
    ('import', 'potential'): ('--dry-run',),
    ('potential', 'import'): ('--dry-run',),
}
#: Commands without an argument that names a file or a node.
WITHOUT = {('setup',), ('experiment',), ('launch',)}
#: What no file and no node is called.
NAMES = {
    'beyond int64': '99999999999999999999',
    'largest': str(2**63),
    'no such node': str(2**63 - 1),
    'not UTF-8': STRANGE,
    'not there': 'nowhere/file',
    'superscript': '²',
    'empty': '',
    'long': 'x' * 5000,
}


@pytest.mark.parametrize('kind', NAMES)
@pytest.mark.parametrize('path', [path for path in COMMANDS if path not in WITHOUT], ids=' '.join)
def test_a_name_that_nothing_has_is_one_sentence(path, kind, tmp_path, monkeypatch, aiida_profile):
    monkeypatch.chdir(tmp_path)
    arguments = [p for p in COMMANDS[path].params if isinstance(p, click.Argument)]
    values = [NAMES[kind], *(['out'] if len(arguments) > 1 and path[0] in ('export', 'dpgen') else [])]
    if path == ('dpgen', 'convert'):
        values = values[:1]
    refused(run(*path, *NEEDED.get(path, ()), '--', *values))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('path', [path for path in COMMANDS if path not in WITHOUT], ids=' '.join)
def test_an_unreadable_file_of_a_strange_name_is_one_sentence(path, tmp_path, monkeypatch, aiida_profile):
    """The file is there, is empty, and its name is quoted wherever it is shown."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / STRANGE).write_text('')
    arguments = [p for p in COMMANDS[path].params if isinstance(p, click.Argument)]
    extra = ['out'] if len(arguments) > 1 and path[0] in ('export', 'dpgen') and path[1] != 'convert' else []
    refused(run(*path, *NEEDED.get(path, ()), '--', STRANGE, *extra))
    assert [entry.name for entry in tmp_path.iterdir()] == [STRANGE]


@pytest.mark.parametrize('number', ['nan', 'inf', '-inf', '1e9', '-1', '0', '1e400'])
@pytest.mark.parametrize(
    'command',
    [
        ('arrhenius', 'TABLE', '--extrapolate'),
        ('transport', 'RUN', '--timestep', '1', '--ion', 'Li', '--temperature'),
        ('transport', 'RUN', '--timestep', '1', '--ion', 'Li', '--extrapolate'),
    ],
)
def test_temperatures_that_no_matter_has_are_refused(command, number, table, trajectory):
    places = {'TABLE': table, 'RUN': trajectory}
    refused(run(*(places.get(word, word) for word in command), number))


@pytest.mark.parametrize('number', ['nan', 'inf', '-inf', '1e15', '1e400'])
@pytest.mark.parametrize(
    'command',
    [
        ('arrhenius', 'TABLE', '--exponent'),
        ('arrhenius', 'TABLE', '--charge'),
        ('transport', 'RUN', '--timestep', '1', '--temperature', '600', '--ion', 'Li', '--charge'),
        ('density', 'RUN', '--ion', 'Li', '--timestep'),
        ('vanhove', 'RUN', '--ion', 'Li', '--timestep', '1', '--distance'),
        ('rdf', 'RUN', '--timestep', '1', '--distance'),
        ('rdf', 'RUN', '--timestep', '1', '--bin'),
        ('rdf', 'RUN', '--interval'),
    ],
)
def test_numbers_that_mean_nothing_are_refused(command, number, table, trajectory):
    places = {'TABLE': table, 'RUN': trajectory}
    refused(run(*(places.get(word, word) for word in command), number))


def test_a_grid_that_no_memory_holds_is_refused(trajectory):
    refused(run('density', trajectory, '--ion', 'Li', '--timestep', 1, '--spacing', '1e-5'))


@pytest.mark.parametrize('value', ['.nan', '.inf', '1e9', '[.nan]', '[' * 5000, '&a [*a]', '2020-01-01'])
def test_parameters_that_no_physics_allows_are_refused(value, nowhere):
    words = ['launch', 'conductivity', '--protocol', 'demo', '--dry-run', '--set', f'temperatures={value}']
    for name in ('lmp', 'python'):
        code = orm.InstalledCode(computer=nowhere, filepath_executable='/bin/true', label=name).store()
        words += ['--code', f'{name}={code.pk}']
    assert 'temperatures' in refused(run(*words))


@pytest.mark.parametrize('text', ['[' * 100_000, '{"a": NaN}', '{"a": 1e999}', '[1]', '{', 'null', '"\\ud800'])
def test_arguments_that_are_no_object_are_refused(text, aiida_profile):
    with pytest.raises(Refusal):
        load_labeller('emt', text, None)


# Ctrl-C

WAITS = """
import sqlite3, sys
from aiida_dpasse.interrupt import end_on_interrupt
end_on_interrupt({grace})
{before}
connection = sqlite3.connect(sys.argv[1], timeout=100)
print('waits', flush=True)
connection.execute('BEGIN EXCLUSIVE')
"""


@pytest.mark.parametrize(('grace', 'presses'), [(100.0, 2), (0.1, 1)])
@pytest.mark.parametrize('before', ['', 'import signal; signal.signal(signal.SIGINT, lambda *_: None)'])
def test_ctrl_c_ends_a_program_that_does_not_listen(grace, presses, before, tmp_path):
    """SQLite waits for a lock in C, where no handler of Python is called; AiiDA's handler ignores the second signal."""
    path = tmp_path / 'locked.sqlite'
    holder = sqlite3.connect(path)
    holder.execute('BEGIN EXCLUSIVE')
    command = [sys.executable, '-c', WAITS.format(grace=grace, before=before), str(path)]
    # A shell starts what it runs in the background, such as these tests, deaf to Ctrl-C, which is inherited.
    listening = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listening)
    try:
        assert program.stdout.readline() == 'waits\n'
        for _ in range(presses):
            time.sleep(0.5)
            program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=60)
    finally:
        program.kill()
    assert program.returncode == 130
    assert errors.strip().startswith('Ended by Ctrl-C')
    holder.close()
