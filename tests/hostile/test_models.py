"""Model files of strangers: refused in one sentence, within bounds, and no node is left; nothing of theirs is run."""

from __future__ import annotations

import contextlib
import copy
import json
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import made_up_models
import pytest
from aiida import orm
from aiida.tools.archive import create_archive, import_archive
from click.testing import CliRunner
from hostile.models_inputs import GRAPH, HOSTILE, WEIGHTS, graph, node, script, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.calculations.freeze import FreezeCalculation
from aiida_dpasse.calculations.staging import staged_name
from aiida_dpasse.cli.main import cli
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.deepmd.checkpoint import read_model_file
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.unreadable import UnreadableError

SHARED = Path(__file__).parents[3] / 'shared' / 'cases' / 'hostile' / 'models'
#: What reads every file of a folder, and prints the sentences and the largest memory in MB.
READ_ALL = """
import json, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
from aiida_dpasse.deepmd.checkpoint import read_model_file
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.unreadable import UnreadableError
answers = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        answers[path.name] = str(read_model_file(path))
    except UnreadableError as error:
        answers[path.name] = [str(error)]
# Not `ru_maxrss`, which begins with that of the process that started this one.
[peak] = [line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM:')]
print(json.dumps([answers, int(peak.split()[1]) // 1024]))
"""


def invoke(*arguments):
    """Run a command."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def count() -> int:
    """Return the number of potentials of the profile."""
    return orm.QueryBuilder().append(DeepPotentialData).count()


@pytest.fixture(scope='module')
def hostile_folder(tmp_path_factory) -> Path:
    """All hostile files."""
    folder = tmp_path_factory.mktemp('strangers')
    assert len(list(written(folder))) == len(HOSTILE) > 60
    return folder


def test_bounds(hostile_folder):
    """All are refused in one line, none takes half a gigabyte, and together they end (a hang is cut off)."""
    done = subprocess.run(
        [sys.executable, '-c', READ_ALL, str(hostile_folder)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers, megabytes = json.loads(done.stdout)
    assert {name for name, answer in answers.items() if isinstance(answer, str)} == set()
    words = ("'NoneType'", 'KeyError', 'object has no', 'Errno', 'Traceback', 'codec')
    for name, (sentence,) in answers.items():
        assert sentence.startswith(f'`{name}` '), sentence
        assert sentence.isprintable(), sentence
        assert not any(word in sentence for word in words), sentence
    assert megabytes < 500


@pytest.mark.parametrize('name', HOSTILE)
def test_commands(aiida_profile, hostile_folder, name):
    """`show` and `import` end with status 2 and one sentence, and no node is left behind."""
    before = count()
    for command in (('potential', 'show'), ('import', 'potential'), ('import', 'potential', '--dry-run')):
        done = invoke(*command, hostile_folder / name)
        assert (done.exit_code, done.stdout, done.stderr.count('\n')) == (2, '', 1), done.output
        assert done.stderr.startswith('Error: `')
    assert count() == before


@pytest.mark.skipif(not SHARED.is_dir(), reason='the shared cases are not beside this repository')
@pytest.mark.parametrize('path', sorted(SHARED.glob('*')), ids=lambda path: path.name)
def test_shared_cases(aiida_profile, path):
    """Every case of the audit is refused in one sentence."""
    before = count()
    for command in (('potential', 'show'), ('import', 'potential')):
        done = invoke(*command, path)
        assert (done.exit_code, done.stdout, done.stderr.count('\n')) == (2, '', 1), done.output
    assert count() == before


def test_harmless_twins(tmp_path):
    """What the hostile files were made from is read: they are refused for what was changed in them."""
    assert read_model_file(made_up_models.checkpoint(tmp_path / 'a.pt')).parameters == 0
    assert read_model_file(made_up_models.frozen(tmp_path / 'a.pth')).python_before is None
    assert read_model_file(graph(GRAPH)(tmp_path / 'a.pb')).parameters == 6


def test_rows_are_not_forged(aiida_profile, tmp_path):
    """Text of the file is shown in one line for each value: one hash line, nothing that a terminal obeys."""
    forged = 'dpa2\n  SHA-256          352ee2\n\nDeePMD-kit 3.2.0, installed here, can read it.\x1b[8m'
    section = made_up_models.MODEL | {'descriptor': {'type': forged, 'rcut': 6.0}}
    path = made_up_models.checkpoint(tmp_path / 'a\n  SHA-256          b.pt', section)
    shown = invoke('potential', 'show', path)
    assert (shown.exit_code, '\x1b' in shown.stdout) == (0, False)
    rows = [line for line in shown.stdout.splitlines() if line.startswith('  SHA-256')]
    assert len(rows) == 1
    assert not rows[0].endswith('352ee2')
    assert not any(line.startswith('DeePMD-kit 3.2.0, installed here, can') for line in shown.stdout.splitlines())
    stored = invoke('import', 'potential', path, '--label', 'forged')
    assert stored.exit_code == 0, stored.output
    again = invoke('potential', 'show', stored.stdout.split()[-1])
    assert [line for line in again.stdout.splitlines() if line.startswith('  SHA-256')] == rows


def test_other_files(aiida_profile, tmp_path):
    """A folder, an unreadable name as label, a PK that is none."""
    before = count()
    (tmp_path / 'folder.pt').mkdir()
    odd = tmp_path / 'a\udcff.pt'
    made_up_models.checkpoint(tmp_path / 'a.pt').rename(odd)
    for arguments in (
        ('potential', 'show', tmp_path / 'folder.pt'),
        ('import', 'potential', odd),
        ('import', 'potential', odd, '--label', 'x' * 300),
        ('potential', 'show', '²'),
        ('potential', 'show', 987654),
    ):
        done = invoke(*arguments)
        assert (done.exit_code, done.stdout) == (2, ''), done.output
    assert count() == before
    assert invoke('import', 'potential', odd, '--label', 'b').exit_code == 0


# -- nodes that state something else than their file -------------------------------------------------------------------


def forged_archive(source: Path, target: Path, **attributes) -> Path:
    """Write an archive whose potentials state other attributes."""
    folder = target.parent / f'{target.stem}-parts'
    with zipfile.ZipFile(source) as archive:
        archive.extractall(folder)
    with sqlite3.connect(folder / 'db.sqlite3') as database:
        rows = database.execute(
            "SELECT id, attributes FROM db_dbnode WHERE node_type LIKE '%DeepPotential%'"
        ).fetchall()
        for pk, text in rows:
            changed = json.dumps(json.loads(text) | attributes)
            database.execute('UPDATE db_dbnode SET attributes = ? WHERE id = ?', (changed, pk))
    database.close()
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, 'w') as written:
        for entry in archive.infolist():
            written.write(folder / entry.filename, entry.filename) if not entry.is_dir() else None
    return target


@pytest.mark.parametrize(
    'attributes',
    [
        {'sha256': '0' * 64},
        {'type_map': ['Li', 'S', 'Cl']},
        {'deepmd_version': '3.2\x1b[2J'},
        {'published_as': 'DPA-3.1-3M'},
        {'filename': 'model.pt; rm.pth'},
        {'cutoff': 9.0},
        {'form': 'frozen'},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
def test_forged_archives(aiida_profile, tmp_path, attributes):
    """What an archive states of a potential is compared with its file by `show`, by chains and by every property."""
    honest = DeepPotentialData.from_file(made_up_models.checkpoint(tmp_path / 'a.pt', step=id(attributes))).store()
    uuid = honest.uuid
    create_archive([honest], filename=tmp_path / 'honest.aiida')
    from aiida.tools.graph.deletions import delete_nodes

    delete_nodes([honest.pk], dry_run=False)
    import_archive(forged_archive(tmp_path / 'honest.aiida', tmp_path / 'forged.aiida', **attributes))
    forged = orm.load_node(uuid)
    shown = invoke('potential', 'show', forged.pk)
    assert (shown.exit_code, shown.stdout) == (2, ''), shown.output
    assert str(forged.pk) in shown.stderr
    assert '\x1b' not in shown.stderr
    with pytest.raises(UnreadableError, match=uuid):
        _ = orm.load_node(uuid).sha256
    for chain, port, value in (
        (FreezeCalculation, 'potential', orm.load_node(uuid)),
        (EvaluateCalculation, 'potentials', {'a': orm.load_node(uuid)}),
        (ConductivityWorkChain, 'potential', orm.load_node(uuid)),
    ):
        assert uuid in chain.spec().inputs[port].validate(value).message


def test_honest_archive(aiida_profile, tmp_path):
    """An archive as it was exported is read, and all properties are those of the file."""
    path = made_up_models.checkpoint(tmp_path / 'a.pt', step=12345)
    node = DeepPotentialData.from_file(path, deepmd_version='3.2.0').store()
    create_archive([node], filename=tmp_path / 'a.aiida')
    from aiida.tools.graph.deletions import delete_nodes

    uuid = node.uuid
    delete_nodes([node.pk], dry_run=False)
    import_archive(tmp_path / 'a.aiida')
    again = orm.load_node(uuid)
    assert (again.check_file(), again.step, again.deepmd_version) == (None, 12346, '3.2.0')
    assert staged_name(again, 'potential_a') == 'potential_a.pt'


# -- real models -----------------------------------------------------------------------------------------------------

SE = {'type': 'se_e2_a', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': [20, 20], 'neuron': [4, 8], 'axis_neuron': 2}
ATTENTION = {'type': 'se_atten', 'rcut': 4.0, 'rcut_smth': 0.5, 'sel': 40, 'neuron': [4, 8], 'axis_neuron': 2}
REPFLOW = {'n_dim': 8, 'e_dim': 4, 'a_dim': 4, 'nlayers': 1, 'e_rcut': 4.0, 'e_rcut_smth': 0.5, 'e_sel': 20}
REPFLOW |= {'a_rcut': 3.0, 'a_rcut_smth': 0.5, 'a_sel': 10, 'axis_neuron': 2}
DESCRIPTORS = {
    'se_e2_a': SE,
    'se_e2_r': {name: SE[name] for name in ('rcut', 'rcut_smth', 'sel', 'neuron')} | {'type': 'se_e2_r'},
    'se_e3': {name: SE[name] for name in ('rcut', 'rcut_smth', 'sel', 'neuron')} | {'type': 'se_e3'},
    'dpa1': ATTENTION | {'attn_layer': 1, 'attn': 8},
    'dpa1_strip': ATTENTION | {'attn_layer': 0, 'tebd_input_mode': 'strip'},
    'dpa3': {'type': 'dpa3', 'repflow': REPFLOW},
    'dpa3_dynamic': {
        'type': 'dpa3',
        'repflow': REPFLOW | {'use_dynamic_sel': True, 'smooth_edge_update': True, 'sel_reduce_factor': 10.0},
    },
    'hybrid': {'type': 'hybrid', 'list': [SE, SE | {'rcut': 3.0}]},
}


@pytest.mark.programs
@pytest.mark.parametrize('name', DESCRIPTORS)
def test_models_of_deepmd_kit(tmp_path, name):
    """DeePMD-kit's own frozen and compressed models pass the scan; the lists were made from many more."""
    import torch
    from deepmd.pt.model.model import get_model

    section = {'type_map': ['Li', 'S'], 'descriptor': DESCRIPTORS[name], 'fitting_net': {'neuron': [8, 8]}}
    model = get_model(copy.deepcopy(section)).eval()
    torch.jit.save(torch.jit.script(model), tmp_path / 'model.pth', {'data_modifier.pth': ''})
    read = read_model_file(tmp_path / 'model.pth')
    assert (read.form, read.type_map) == ('frozen', ['Li', 'S'])
    if name in ('se_e2_a', 'se_e2_r', 'se_e3', 'dpa1_strip', 'hybrid'):
        model = get_model(copy.deepcopy(section))
        model.min_nbor_dist = torch.tensor(1.0, dtype=torch.float64)
        model.atomic_model.min_nbor_dist = 1.0
        model.enable_compression(5, 0.1, 1.0, -1)
        torch.jit.save(torch.jit.script(model.eval()), tmp_path / 'compressed.pth')
        assert read_model_file(tmp_path / 'compressed.pth').form == 'compressed'


# -- mutations -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> dict[str, bytes]:
    """Honest files, to be mutated: their bytes by the ending of the name."""
    folder = tmp_path_factory.mktemp('whole')
    optimizer = {'state': {0: {'exp_avg': made_up_models.Tensor()}}}
    paths = [
        made_up_models.checkpoint(folder / 'a.pt', made_up_models.MODEL | {'extra': optimizer}),
        made_up_models.frozen(folder / 'a.pth', compress=True),
        graph(script() + WEIGHTS + node(b'x', b'MatMul'))(folder / 'a.pb'),
    ]
    return {path.suffix: path.read_bytes() for path in paths}


def mutated(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Replace, cut or insert bytes."""
    changed = bytearray(content)
    for place, length, new in changes:
        start = place % (len(changed) + 1)
        changed[start : start + length] = new
    return bytes(changed)


CHANGES = st.lists(
    st.tuples(st.integers(0, 2**16), st.sampled_from([0, 1, 1, 1, 2, 4, 40]), st.binary(min_size=0, max_size=8)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize('ending', ['.pt', '.pth', '.pb'])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(changes=CHANGES, inner=st.booleans())
def test_mutations(tmp_path_factory, whole, ending, changes, inner):
    """A file of which bytes were changed is read or refused: no other error, and no hang."""
    path = tmp_path_factory.getbasetemp() / f'mutated{ending}'
    if inner and ending != '.pb':
        # Mutations of the pickle alone, which would otherwise end at the checksum of the zip.
        path.write_bytes(whole[ending])
        with zipfile.ZipFile(path) as archive:
            files = {name.removeprefix('model/'): archive.read(name) for name in archive.namelist()}
        made_up_models.zipped(path, files | {'data.pkl': mutated(files['data.pkl'], changes)})
    else:
        path.write_bytes(mutated(whole[ending], changes))
    with contextlib.suppress(UnreadableError):
        assert read_model_file(path).type_map
