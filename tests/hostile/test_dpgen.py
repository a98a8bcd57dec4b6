"""DP-GEN's files of strangers: bounded, in one sentence, without secrets, and without commands of their own."""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiida_dpasse.cli.dpgen import convert
from aiida_dpasse.dpgen.collect import collect
from aiida_dpasse.dpgen.keys import read_content
from aiida_dpasse.dpgen.param import describe, read_dpgen
from aiida_dpasse.dpgen.script import literal, script
from aiida_dpasse.dpgen.secrets import HIDDEN, names_secret, without_secrets
from aiida_dpasse.unreadable import UnreadableError

FIXTURES = Path(__file__).parents[1] / 'dpgen' / 'fixtures'
PARAM = json.loads((FIXTURES / 'param.json').read_text())
MACHINE = json.loads((FIXTURES / 'machine.json').read_text())
#: Names of files and text of settings.
AWKWARD = (
    '"""',
    "'",
    '"; touch canary; "',
    '$(touch canary)',
    '`touch canary`',
    '; touch canary #',
    '&& touch canary',
    '| touch canary',
    '-rf',
    'a\ntouch canary\n',
    '\\',
    '"\ntouch canary\n"',
    "' ; touch canary ; '",
    '"$(touch canary)"',
    '${A:-$(touch canary)}',
    '$((1))',
    '<(touch canary)',
    '中文 ü',
    '\u202e\u2028\x1b[2J',
)


@pytest.fixture
def folder(tmp_path) -> Path:
    """The files that the fixtures of DP-GEN refer to."""
    shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
    return tmp_path


def refused(*arguments: Any) -> str:
    """Run `convert`, which ends with one sentence and the status 2, and return the sentence."""
    result = CliRunner().invoke(convert, [str(argument) for argument in arguments])
    assert (result.exit_code, result.stdout) == (2, ''), result.output
    assert result.stderr.startswith('Error: ')
    assert result.stderr.count('\n') == 1
    assert result.stderr.rstrip('\n').isprintable()
    assert not re.search(r'KeyError|NoneType|Traceback|TypeError|codec', result.stderr)
    return result.stderr


# -- files that are no input --------------------------------------------------------------------------------------

BOMB = 'a: &a [x, x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'{chr(98 + i)}: &{chr(98 + i)} [{", ".join([f"*{chr(97 + i)}"] * 10)}]\n' for i in range(20)
)
MERGES = 'a: &a {x: 1}\n' + ''.join(
    f'{chr(98 + i)}: &{chr(98 + i)} {{<<: [{", ".join([f"*{chr(97 + i)}"] * 10)}]}}\n' for i in range(20)
)
FILES: dict[str, tuple[str, bytes]] = {
    'nothing': ('json', b''),
    'deep': ('json', b'[' * 200_000),
    'deep but valid': ('json', b'{"a":' * 500 + b'1' + b'}' * 500),
    'deep yaml': ('yaml', b'[' * 100_000),
    'block yaml': ('yaml', b''.join(b' ' * i + b'a:\n' for i in range(500))),
    'aliases': ('yaml', BOMB.encode()),
    'merged mappings': ('yaml', MERGES.encode()),
    'holds itself': ('yaml', b'a: &a [*a]'),
    'code': ('yaml', b'a: !!python/object/apply:os.system [ls]'),
    'no utf8': ('json', b'{"a": "\xff\xfe"}'),
    'no utf8 yaml': ('yaml', b'a: \xff\xfe'),
    'null': ('json', b'{"type_map": ["\\u0000"]}'),
    'half a character': ('json', b'{"type_map": ["\\ud800"]}'),
    'nan': ('json', b'{"numb_models": NaN}'),
    'infinity': ('json', b'{"numb_models": -Infinity}'),
    'beyond a float': ('json', b'{"numb_models": 1e999}'),
    'beyond an int': ('json', b'{"numb_models": 1' + b'0' * 6000 + b'}'),
    'nan yaml': ('yaml', b'a: .nan'),
    'hex yaml': ('yaml', b'a: 0x' + b'f' * 5000),
    'date yaml': ('yaml', b'a: 2024-13-45'),
    'many values': ('json', b'[' + b'0,' * 400_000 + b'0]'),
    'too large': ('json', b'"' + b'x' * 2_000_000 + b'"'),
    'a list': ('json', b'[1]'),
    'a text': ('json', b'"x"'),
    'null yaml': ('yaml', b''),
    'escape': ('json', b'{"\\u001b[2J": 1'),
}


@pytest.mark.parametrize('name', FILES)
def test_a_file_that_is_no_input(name, tmp_path):
    ending, content = FILES[name]
    path = tmp_path / f'param.{ending}'
    path.write_bytes(content)
    refused(path)
    refused(FIXTURES / 'param.json', path)


@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder', 'nothing'])
def test_what_is_no_file(kind, tmp_path):
    path = tmp_path / 'param.json'
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    elif kind == 'folder':
        path.mkdir()
    with pytest.raises(UnreadableError):
        read_content(path)


def test_little_memory_is_enough(tmp_path):
    """What is declared is counted before it is made: 500 MB and some seconds suffice for the worst of them."""
    for name in ('aliases', 'merged mappings', 'deep', 'many values'):
        ending, content = FILES[name]
        (tmp_path / f'{name}.{ending}').write_bytes(content)
    atoms = {'user_fp_params': {'MAGMOM': '999999999*1 9*2'}, 'fp_incar': None}
    jobs = [{**PARAM['model_devi_jobs'][0], 'sys_idx': ['0-999999999']}]
    for name, changes in (('moments', atoms), ('range', {'model_devi_jobs': jobs})):
        content = {key: value for key, value in {**PARAM, **changes}.items() if value is not None}
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    (tmp_path / 'systems/a').mkdir(parents=True)
    (tmp_path / 'systems/a/POSCAR').write_text('x\n1\n1 0 0\n0 1 0\n0 0 1\nLi S\n999999999 999999999\nD\n')
    code = (
        'import sys\n'
        'from aiida_dpasse.dpgen.param import read_dpgen\n'
        'from aiida_dpasse.unreadable import UnreadableError\n'
        'for path in sys.argv[1:]:\n'
        '    try:\n'
        '        read_dpgen(path)\n'
        '    except UnreadableError:\n'
        '        print("refused")\n'
        '    else:\n'
        '        print("read")\n'
    )
    paths = sorted(str(path) for path in tmp_path.glob('*.*'))
    limit = 500 * 2**20

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    done = subprocess.run(
        [sys.executable, '-c', code, *paths],
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=bounded,
        check=False,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = dict(zip((Path(path).stem for path in paths), done.stdout.split(), strict=True))
    assert found.pop('moments') == 'read'
    assert set(found.values()) == {'refused'}


@pytest.mark.parametrize(
    'changes',
    [
        {'type_map': ['Foo', 'S']},
        {'type_map': ['../x', 'S']},
        {'type_map': [1, 2]},
        {'sys_format': 'ase/structure'},
        {'sys_format': ['vasp/poscar']},
        {'model_devi_dt': 1e200},
        {'model_devi_dt': -1},
        {'model_devi_dt': True},
        {'numb_models': 10**20},
        {'model_devi_jobs': [{**PARAM['model_devi_jobs'][0], 'sys_idx': []}]},
        {'model_devi_jobs': [{**PARAM['model_devi_jobs'][0], 'sys_idx': ['0-9:0']}]},
        {'model_devi_jobs': [{**PARAM['model_devi_jobs'][0], 'sys_idx': [-1]}]},
        {'model_devi_jobs': [3]},
        {'sys_configs': [['*' * 20]]},
        {'default_training_param': [[[]]]},
    ],
    ids=str,
)
def test_values_that_no_run_has(folder, changes):
    path = folder / 'changed.json'
    path.write_text(json.dumps({**PARAM, **changes}))
    refused(path)


@pytest.mark.parametrize(
    'changes',
    [
        {'queue_name': 'x\ntouch canary'},
        {'queue_name': 3},
        {'envs': {'A;touch canary': 1}},
        {'envs': ['A=1']},
        {'kwargs': {'custom_gpu_line': 'touch canary'}},
        {'custom_flags': ['#SBATCH --time=' + '9' * 5000]},
        {'custom_flags': ['#SBATCH --time=999999999-00:00:00']},
        {'number_node': 10**20},
        {'cpu_per_node': -1},
    ],
    ids=lambda value: str(value)[:60],
)
def test_resources_that_no_job_has(tmp_path, changes):
    machine = copy.deepcopy(MACHINE)
    machine['train']['resources'] |= changes
    path = tmp_path / 'machine.json'
    path.write_text(json.dumps(machine))
    refused(FIXTURES / 'param.json', path)


# -- secrets ------------------------------------------------------------------------------------------------------

CANARY = 'CANARY-1234'
SECRETS = [
    {'password': CANARY},
    {'train': {**MACHINE['train'], 'password': CANARY}},
    {'train': [{'machine': {'machine_type': 'slurm', 'password': CANARY, 'work_path': '/x'}, 'resources': {}}]},
    {'train': {'machine': {'batch_type': 'Slurm', 'remote_profile': {'email': CANARY}}}},
    {'train': {'machine': {'remote_profile': CANARY}}},
    {'train': {'machine': {'input_data': {'api_key': CANARY, 'x': {'access_key': CANARY, 'ticket': [CANARY]}}}}},
    {'train': {'machine': {'totp_secret': CANARY, 'passphrase': CANARY, 'key_filename': CANARY}}},
    {'train': {'resources': {'envs': {'MP_API_KEY': CANARY, 'TOKEN': [CANARY], 'PGPASSWORD': CANARY}}}},
    {'train': {'resources': {'prepend_script': [f'export WANDB_API_KEY={CANARY}', f'login --token {CANARY}']}}},
    {'train': {'resources': {'append_script': [f'curl -H "Authorization: {CANARY}" x']}}},
    {'train': {'resources': {'source_list': [f'x.sh --password={CANARY}']}}},
    {'train': {'resources': {'custom_flags': [f'export SECRET={CANARY}']}}},
    {'train': {'resources': {'x_y': f'https://me:{CANARY}@host/'}}},
    {'train': {'command': f'TOKEN={CANARY} dp'}},
    {'train': {'command': f'export TOKEN={CANARY}; dp'}},
    {'train': f'password={CANARY}'},
    {'train': {'machine': [f'token: {CANARY}']}},
    {'my.password.x': CANARY},
]


@pytest.mark.parametrize('machine', SECRETS, ids=lambda value: str(value)[:70])
def test_no_secret_is_shown_or_written(machine, folder):
    """Neither on the terminal, nor in the script, whose options AiiDA would store and export in clear."""
    path = folder / 'machine.json'
    path.write_text(json.dumps({'model_devi': {}, 'train': {}, **machine}))
    for output in ([], ['-o', str(folder / 'study.py')]):
        result = CliRunner().invoke(convert, [str(folder / 'param.json'), str(path), *output])
        assert result.exit_code in (0, 2), result.output
        assert CANARY not in result.output
    written = folder / 'study.py'
    assert not written.exists() or CANARY not in written.read_text()


def test_secrets_are_known_by_the_names_that_hold_them():
    secret = 'password PASSWD api_key accessKey privateKey ssh_key token auth_token totp OTP passphrase ticket cookie'
    assert [name for name in secret.split() if not names_secret(name)] == []
    plain = 'author keyword monkey rcut disp_file OMP_NUM_THREADS batch_type username compass turkey'
    assert [name for name in plain.split() if names_secret(name)] == []
    assert without_secrets({'a': [{'key': 7, 'api_key': 'x'}]}) == {'a': [{'key': 7, 'api_key': HIDDEN}]}


def test_a_script_is_for_its_owner_only(folder):
    output = folder / 'study.py'
    assert CliRunner().invoke(convert, [str(folder / 'param.json'), '-o', str(output)]).exit_code == 0
    assert stat.S_IMODE(output.stat().st_mode) == 0o600


@pytest.mark.parametrize('link', [False, True])
def test_the_input_is_never_the_output(folder, link):
    path, before = folder / 'param.json', (folder / 'param.json').read_bytes()
    output = folder / 'link.json' if link else path
    if link:
        output.symlink_to(path)
    refused(path, '-o', output)
    refused(path, folder / 'machine.json', '-o', folder / 'machine.json')
    assert path.read_bytes() == before


# -- what becomes part of a script or of a shell line ---------------------------------------------------------------


def shape(text: str) -> list[str]:
    """The statements of a script, with the values of its constants replaced by None."""
    statements = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            ast.literal_eval(node.value)
            node.value = ast.Constant(None)
        statements.append(ast.dump(node))
    return statements


@pytest.mark.parametrize('name', [name for name in AWKWARD if '\0' not in name])
def test_names_of_files_are_no_code(name, folder):
    """That of param.json, that of the script, and those of the files that it refers to."""
    path = folder / f'x{name}'.replace('/', '_')
    path.write_text((folder / 'param.json').read_text())
    output = folder / f'{name}.py'.replace('/', '_')
    result = CliRunner().invoke(convert, ['-o', str(output), '--', str(path)])
    assert result.exit_code == 0, result.output
    assert result.output.replace('\n', '').isprintable() or '\n' in name or '\x1b' in name
    expected = shape(script(read_dpgen(folder / 'param.json'), 'param.json'))
    assert shape(output.read_text(encoding='utf8')) == expected
    system = folder / 'systems' / path.name
    shutil.copytree(folder / 'systems' / 'a', system)
    content = {**PARAM, 'sys_configs': [['a/POSCAR', f'{path.name}/POSCAR'], ['b?/POSCAR'], ['none/POSCAR']]}
    (folder / 'named.json').write_text(json.dumps(content))
    assert shape(script(read_dpgen(folder / 'named.json'), name, name)) == expected


@pytest.mark.parametrize('text', AWKWARD)
def test_entries_start_no_command(text, tmp_path):
    """Variables, modules and sourced files of DP-GEN are arguments; only its shell lines are shell."""
    machine = copy.deepcopy(MACHINE)
    resources = {'envs': {'A': text}, 'module_list': [text], 'source_list': [text], 'module_unload_list': [text]}
    machine['train']['resources'] |= {**resources, 'prepend_script': [], 'append_script': [], 'module_purge': True}
    path = tmp_path / 'machine.json'
    path.write_text(json.dumps(machine))
    lines = read_dpgen(FIXTURES / 'param.json', path).options['train']['prepend_text']
    # The stand-ins of both commands do nothing with their arguments.
    subprocess.run(
        ['bash', '-c', f'module() {{ :; }}; source() {{ :; }}\n{lines}\nprintf %s "$A" > value'],
        cwd=tmp_path,
        check=True,
        timeout=60,
        capture_output=True,
    )
    assert sorted(item.name for item in tmp_path.iterdir()) == ['machine.json', 'value']
    if text[0] not in '\'"$':
        assert (tmp_path / 'value').read_text() == text


def test_literals_are_finite():
    for value in (float('nan'), [float('inf')], {'a': -float('inf')}):
        with pytest.raises(ValueError, match='finite'):
            literal({'x' * 100: value})


@pytest.mark.parametrize('symbol', ['../x', 'a/b', 'Li\n', '/tmp/x', ''])
def test_collect_writes_into_its_folder_only(symbol, tmp_path, make_frames):
    """Folders are named by elements."""
    target = tmp_path / 'out'
    with pytest.raises(UnreadableError):
        collect([make_frames(['Li', 'S'])], target, ['Li', 'S', symbol])
    assert not target.exists()
    assert list(tmp_path.iterdir()) == []


# -- fuzz -----------------------------------------------------------------------------------------------------------


def inputs() -> list[dict[str, Any]]:
    """Inputs of each kind: VASP by an INCAR, by tags and by old keys, CP2K, data to select from, first frames."""
    bare = {key: value for key, value in PARAM.items() if key != 'fp_incar'}
    names = ('type_map', 'numb_models', 'train_backend', 'default_training_param')
    old = {'ecut': 600, 'ediff': 1e-5, 'kspacing': 0.3, 'npar': 1, 'kpar': 1, 'smearing': 'mp:1', 'sigma': 0.1}
    simplify = {'labeled': True, 'pick_data': 'data/first', 'init_pick_number': 2, 'iter_pick_number': 1}
    simplify |= {'fp_style': 'none', 'model_devi_f_trust_lo': 0.0, 'model_devi_f_trust_hi': 0.3}
    bulk = {'stages': [1, 2], 'super_cell': [1, 1, 2], 'elements': ['Li'], 'pert_numb': 2, 'md_nstep': 5}
    return [
        PARAM,
        {**bare, 'user_fp_params': {'PREC': 'Normal', 'MAGMOM': '4*0.6 2*1', 'LDAUU': [1, 2], 'KSPACING': 0.3}},
        {**bare, 'fp_params': {**old, 'user_vasp_params': {'isym': 0}}},
        {**bare, **json.loads((FIXTURES / 'cp2k.json').read_text()), 'fp_style': 'cp2k'},
        {**{name: PARAM[name] for name in names}, **simplify},
        bulk,
    ]


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**29), 10**29),
    st.floats(allow_nan=False, allow_infinity=False, width=64).filter(lambda value: abs(value) < 1e30),
    st.text(max_size=12),
    st.sampled_from([*AWKWARD, '9' * 5000, '1e400', 'nan', '10*nan', '99999999*1', '0-9999999', '1-2:0', '../..', '*']),
)
VALUES = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=6), part, max_size=3)
)


def places(tree: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places of all values in nested lists and mappings."""
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [found for key, value in parts for found in ((*place, key), *places(value, (*place, key)))]


def mutated(data: st.DataObject, tree: Any) -> Any:
    """Return a copy in which values are replaced or taken out."""
    tree = copy.deepcopy(tree)
    for _ in range(data.draw(st.integers(1, 3))):
        found = places(tree)
        if not found:
            return tree
        *parents, last = data.draw(st.sampled_from(found))
        level = tree
        for key in parents:
            level = level[key]
        if data.draw(st.integers(0, 4)) == 0:
            del level[last]
        else:
            level[last] = data.draw(VALUES)
    return tree


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize('yaml', [False, True])
def test_mutated_files_are_converted_or_refused(folder, yaml, data):
    """No other exception than the documented one, no secret, and a script that is one."""
    import yaml as library

    param, machine = mutated(data, data.draw(st.sampled_from(inputs()))), mutated(data, MACHINE)
    paths = [folder / f'{name}.{"yaml" if yaml else "json"}' for name in ('fuzzed', 'fuzzed_machine')]
    for path, content in zip(paths, (param, machine), strict=True):
        text = library.safe_dump(content, allow_unicode=False) if yaml else json.dumps(content)
        path.write_text(text, encoding='utf8', errors='surrogatepass')
    try:
        found = read_dpgen(*paths)
    except UnreadableError as error:
        told = str(error)
    else:
        shape(script(found, 'param.json'))
        told = describe(found.unmatched).replace('\n', '')
        assert "'secret'" not in script(found, 'param.json')
    assert told.isprintable()
    assert '"secret"' not in told


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), ending=st.sampled_from(['json', 'yaml', 'yml']))
def test_any_bytes_are_read_or_refused(tmp_path, content, ending):
    path = tmp_path / f'x.{ending}'
    path.write_bytes(content)
    told = ''
    try:
        read_content(path)
    except UnreadableError as error:
        told = str(error)
    assert told.isprintable()


# -- the examples of the issue ----------------------------------------------------------------------------------------

CASES = Path(__file__).parents[3] / 'shared' / 'cases' / 'hostile' / 'dpgen'


@pytest.mark.skipif(not CASES.is_dir(), reason='the shared cases are not beside this repository')
def test_shared_cases():
    for path in sorted(CASES.glob('[!m]*.json')):
        refused(path)
    for path in sorted(CASES.glob('m*.json')):
        result = CliRunner().invoke(convert, [str(FIXTURES / 'param.json'), str(path)])
        assert result.exit_code == 0, result.output
        assert 'secret' not in result.output.lower()
