"""Names and settings of strangers in scripts, shell lines and input files: quoted, or refused before submission."""

from __future__ import annotations

import copy
import json
import math
import shlex
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida_cp2k.utils.input_generator import Cp2kInput
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_dpasse.calculations.label import check_allowed
from aiida_dpasse.calculations.md import check_simulated
from aiida_dpasse.calculations.md_ase import check_dynamics
from aiida_dpasse.calculations.staging import staged_name
from aiida_dpasse.cli.programs import Missing, Program, find_programs, local_shell, prepend_text, remedy
from aiida_dpasse.cp2k.input import label_input, objection_to_lines
from aiida_dpasse.deepmd.early_stop import early_stop_script
from aiida_dpasse.deepmd.shell import shell_script
from aiida_dpasse.deepmd.training_input import check_input
from aiida_dpasse.drivers.calculators import ALLOWANCE, NotAllowedError, allowance_in, objection_to_calculator
from aiida_dpasse.drivers.labellers import make_calculator
from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.explore.active_learning_parameters import ActiveLearningParameters
from aiida_dpasse.label.cp2k.parameters import Cp2kParameters
from aiida_dpasse.label.shell.parameters import ShellLabelParameters
from aiida_dpasse.label.vasp.parameters import VaspParameters
from aiida_dpasse.lammps.datafile import format_data_file
from aiida_dpasse.lammps.script import build_script
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.parameters.label import LabelJobParameters
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.parameters.train import TrainParameters
from aiida_dpasse.parameters.transport import TransportParameters
from aiida_dpasse.vasp.incar import objection_to_tags

AWKWARD = (
    '"""',
    "'",
    '; touch canary #',
    '$(touch canary)',
    '`touch canary`',
    '&& touch canary',
    '-rf',
    'a b',
    'a\nshell touch canary\n',
    '\\',
    "' ; touch canary ; '",
    '中文 ü',
    '\u202e\x1b[2J',
    '../x',
    '/tmp/x',
    '~/x',
)


def one_sentence(message: str | None) -> None:
    """Check that a message says in one line what is wrong."""
    assert message
    assert '\n' not in message
    assert message.isprintable()
    assert len(message) < 600
    for word in ('KeyError', 'NoneType', 'TypeError', 'Traceback', 'object at 0x'):
        assert word not in message


# -- calculators ----------------------------------------------------------------------------------------------------

CALLABLES = [
    {'name': 'os:system', 'command': 'touch canary'},
    {'name': 'subprocess:run', 'args': 'touch canary'},
    {'name': 'builtins:exec'},
    {'name': 'pickle:load'},
    {'name': 'ase.calculators.calculator:Calculator'},
    {'name': 'ase.calculators.subprocesscalculator:NamedPackedCalculator'},
    {'name': 'ase.io:read', 'filename': '/etc/passwd'},
    {'name': 'aiida_dpasse.deepmd.shell:shell_script'},
    {'name': 'mace.calculators:MACECalculator', 'model_paths': '/tmp/x'},
    {'name': 'vasp', 'command': 'touch canary'},
    {'name': 'espresso', 'command': 'touch canary'},
    {'name': 'lammpslib', 'lmpcmds': ['shell touch canary']},
    {'name': 'lammpsrun'},
    {'name': 'dftb'},
    {'name': 'plumed'},
    {'name': 'mattersim'},
    {'name': ''},
    {'name': ':'},
    {'name': ':system'},
    {'name': 'eam', 'potential': '/etc/passwd'},
    {'name': 'eam', 'potential': '../x'},
    {'name': 'emt', 'restart': '~/x'},
    {'name': 'mace_mp', 'model': 'https://example.invalid/model'},
    {'name': 'mace_mp', 'model': '/tmp/model.pt'},
    {'name': 'sevenn.calculator:SevenNetCalculator', 'model': '/tmp/model.pt'},
    {'name': 'sevenn.calculator:SevenNetCalculator', 'model': {'a': ['../../x']}},
    {'name': 'chgnet', 'model': '~/x'},
    {'name': 'lj', 'label': '/tmp/x'},
]


@pytest.mark.parametrize('calculator', CALLABLES, ids=str)
def test_nothing_but_calculators_is_called(calculator, tmp_path, monkeypatch):
    """Neither by the driver, nor by a job that is submitted."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ALLOWANCE, raising=False)
    imported = set(sys.modules)
    with pytest.raises(NotAllowedError) as caught:
        make_calculator(**calculator)
    one_sentence(str(caught.value))
    assert not {name.partition('.')[0] for name in set(sys.modules) - imported} & {'mace', 'sevenn', 'chgnet'}
    code = SimpleNamespace(prepend_text='export OMP_NUM_THREADS=1', computer=None)
    one_sentence(check_allowed(orm.Dict(calculator), code))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'name',
    [
        'os:system',
        'subprocess:Popen',
        'ase.io:read',
        'collections:OrderedDict',
        'os:name',
        'ase.calculators.emt:parameters',
    ],
)
def test_what_is_allowed_is_a_class_of_calculators_all_the_same(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ALLOWANCE, 'os,subprocess ase collections')
    with pytest.raises(NotAllowedError, match='class'):
        make_calculator(name, command='touch canary')
    assert list(tmp_path.iterdir()) == []


def test_calculators_that_are_called(monkeypatch):
    monkeypatch.delenv(ALLOWANCE, raising=False)
    for calculator in (
        {'name': 'emt'},
        {'name': 'lj', 'epsilon': 0.5, 'sigma': [1.0]},
        {'name': 'ase.calculators.emt:EMT'},
        {'name': 'chgnet', 'use_device': 'cuda:0', 'check_cuda_mem': True},
        {'name': 'sevenn.calculator:SevenNetCalculator', 'model': '7net-mf-ompa', 'modal': 'mpa'},
    ):
        assert objection_to_calculator(calculator, '') is None
    other = {'name': 'orb_models.forcefield:ORB', 'path': '/models/x.ckpt'}
    assert objection_to_calculator(other, 'vasp, orb_models') is None
    assert objection_to_calculator({'name': 'vasp', 'command': 'srun vasp_std'}, 'vasp') is None
    code = SimpleNamespace(prepend_text=f'date\nexport {ALLOWANCE}="orb_models"', computer=None)
    assert check_allowed(orm.Dict(other), code) is None
    bare = SimpleNamespace(prepend_text='', computer=SimpleNamespace(get_prepend_text=lambda: ''))
    assert check_allowed(orm.Dict(other), bare) is not None
    options = {'label': {'environment_variables': {ALLOWANCE: 'orb_models'}}}
    assert check_allowed(orm.Dict(other), bare, options) is None
    assert allowance_in(f'# {ALLOWANCE}=x') is None


# -- training inputs ------------------------------------------------------------------------------------------------

TRAINING: dict[str, Any] = {
    'model': {
        'type_map': ['Li', 'S'],
        'descriptor': {'type': 'se_e2_a', 'rcut': 5.0, 'rcut_smth': 0.5, 'sel': [30, 10], 'neuron': [10, 20]},
        'fitting_net': {'neuron': [30, 30]},
    },
    'learning_rate': {'type': 'exp', 'start_lr': 0.001, 'stop_lr': 1e-7, 'decay_steps': 100},
    'loss': {'start_pref_e': 0.02, 'limit_pref_e': 1, 'start_pref_f': 1000, 'limit_pref_f': 1},
    'training': {'numb_steps': 1000, 'training_data': {'batch_size': 1}},
}
OUTSIDE = ('/tmp/x', '../x', 'a/../../x', '~/x', '~root', '-x', 'a\nb', '\x1b[2J', '_aiidasubmit.sh', 'file:///tmp/x')
FILES = (
    'training.disp_file',
    'training.save_ckpt',
    'training.stat_file',
    'training.tensorboard_log_dir',
    'training.profiling_file',
    'training.save_dir',
    'training.training_data.systems',
    'training.training_data.set_prefix',
    'training.validation_data.systems',
    'validating.save_best_dir',
    'validating.full_val_file',
    'model.use_srtab',
    'model.model_file',
    'model.modifier.model_name',
    'model.models.tab_file',
    'nvnmd.config_file',
    'a_key_of_another_release',
)


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the training input with another value."""
    content = copy.deepcopy(TRAINING)
    *parents, last = path.split('.')
    level = content
    for name in parents:
        level = level.setdefault(name, {})
    level[last] = value
    return content


@pytest.mark.parametrize('path', FILES)
def test_a_training_names_files_in_its_folder_only(path):
    assert check_input(TRAINING, 'pytorch') is None
    for text in OUTSIDE:
        for value in (text, [text], ['data', text]):
            message = check_input(changed(path, value), 'pytorch')
            one_sentence(message)
    assert check_parameters(TrainParameters, {'backend': 'pytorch', 'input': changed(path, '/tmp/x')}) is not None


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('learning_rate.start_lr', math.nan),
        ('learning_rate.start_lr', math.inf),
        ('loss.start_pref_e', -math.inf),
        ('training.numb_steps', 10**30),
        ('training.numb_steps', '1'),
        ('training.disp_file', 'other.out'),
        ('training.save_ckpt', 'other'),
        ('model.type_map', 3),
        ('model.descriptor', [[[]]]),
        ('model.descriptor.neuron', [10**400]),
        ('model.model_dict', {'--head': {}}),
        ('model.model_dict', {'a b': {}}),
        ('training', {'numb_steps': 10, 'a\x1b': 1}),
        (
            'model.x',
            [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_trainings_that_cannot_be(path, value):
    for backend in ('pytorch', 'tensorflow'):
        one_sentence(check_input(changed(path, value), backend))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(AWKWARD),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=6), part, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(path=st.sampled_from([*FILES, 'model', 'loss', 'model.descriptor.type', 'training.seed']), value=JSON)
def test_any_training_input_is_accepted_or_refused(path, value):
    message = check_input(changed(path, value), 'pytorch')
    assert message is None or message.isprintable()


# -- shell lines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('text', AWKWARD)
def test_shell_lines_start_no_command(text, tmp_path):
    """Variables of scripts, those of a code, and the command that `setup` prints for pasting."""
    assignments = shell_script('early_stop.sh', curve=text, prefix=text).splitlines()
    script = '\n'.join(assignments[: next(i for i, line in enumerate(assignments) if line.startswith('#'))])
    prefix = f'{tmp_path}/bin{text}'
    assert shlex.split(remedy(f'{prefix}/python'))[0] == f'{prefix}/python'
    program = Program('lmp', '/lmp', '1', {}, {'LD_LIBRARY_PATH': text, 'OTHER': text})
    found = find_programs(prefix, local_shell)
    assert all(isinstance(item, Missing) for item in found)
    [make, _, install] = found[0].remedy.rpartition(' && ')
    assert shlex.split(make) == ['python3', '-m', 'venv', prefix]
    assert shlex.split(install)[0].startswith(prefix)
    for lines in (script, prepend_text(program), f'true {install}'):
        subprocess.run(['bash', '-c', lines], cwd=tmp_path, timeout=60, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == []


def test_variables_of_a_code_have_names(tmp_path):
    with pytest.raises(ValueError, match='name of a variable'):
        prepend_text(Program('lmp', '/lmp', '1', {}, {'A;touch canary': 'x'}))


def test_the_monitored_column_is_one_word():
    base = {'backend': 'pytorch', 'input': TRAINING}
    for text in ('rmse_f_val"; touch canary', 'rmse_f_val\n', '-v', '$(x)_val'):
        one_sentence(check_parameters(TrainParameters, {**base, 'early_stop': {'window': 10, 'error': text}}))
    assert "error='$(x)'" in early_stop_script('$(x)', 1, 0.1, 'lcurve.out')


# -- input files ----------------------------------------------------------------------------------------------------

MD = {'ensemble': 'nvt', 'temperature': 300.0, 'steps': 100, 'seed': 1}
NO_ELEMENTS = ('Foo', '', 'X', 'Li\nshell touch canary', 'Li S', '$(x)', 'li', 'Li"')


@pytest.mark.parametrize('symbol', NO_ELEMENTS)
def test_elements_of_scripts_are_elements(symbol):
    """Nodes of an archive are not checked by AiiDA when they are imported."""
    with pytest.raises(ValueError, match='not an element'):
        build_script(MD, [], ['Li', symbol])
    with pytest.raises(ValueError, match='not an element'):
        format_data_file(['a'], np.eye(3) * 4, [[0, 0, 0]], {'a': (symbol, 1.0)})
    structure = orm.StructureData(cell=np.eye(3) * 4, pbc=(True, True, True))
    structure.append_atom(position=(0, 0, 0), symbols='Li')
    kinds = copy.deepcopy(structure.base.attributes.get('kinds'))
    kinds[0]['symbols'] = [symbol]
    kind = SimpleNamespace(symbol=symbol, name='Li', mass=1.0, has_vacancies=False, is_alloy=False)
    forged = SimpleNamespace(
        sites=structure.sites, kinds=[kind], pbc=(True,) * 3, cell=structure.cell, get_kind=lambda name: kind
    )
    forged.has_vacancies = forged.is_alloy = False
    forged.get_formula = lambda: symbol
    one_sentence(check_simulated(forged))


@pytest.mark.parametrize('name', ['x.pt;y', 'x', 'x.pt\nshell touch canary', 'x.pth y', '../x.pt2', 'x.$(y)', 'x.pb/y'])
def test_model_files_have_the_suffix_of_one(name):
    with pytest.raises(ValueError, match='should end in'):
        staged_name(SimpleNamespace(filename=name), 'potential')


def test_model_files_are_copied_under_a_name_of_ours():
    assert staged_name(SimpleNamespace(filename='../../.bashrc; x.pth'), 'potential') == 'potential.pth'


@pytest.mark.parametrize('text', ['Fast\nNSW = 5', 'Fast; NSW = 5', 'Fast # x', 'A=1', '"', '\x1b[2J', 'a\\\n', '{'])
def test_tags_of_an_incar_are_one_line(text):
    for incar in ({'ALGO': text}, {text: 1}, {'ALGO': ['Fast', text]}, {'ALGO': {'Li': text}}, {'ALGO': [[1]]}):
        one_sentence(objection_to_tags(incar))
    given = {'kpoints': {'spacing': 0.3}, 'potential_family': 'x', 'potential_mapping': {}}
    one_sentence(check_parameters(VaspParameters, {**given, 'incar': {'ALGO': text}}))
    assert (
        objection_to_tags({'ALGO': 'Fast', 'ENCUT': 600, 'LREAL': False, 'ROPT': {'Li': 0.1}, 'SAXIS': [0, 0, 1]})
        is None
    )


CP2K = {
    'cutoff': 400,
    'rel_cutoff': 50,
    'kinds': {'Li': {'BASIS_SET': 'DZVP-MOLOPT-SR-GTH', 'POTENTIAL': 'GTH-PBE-q3'}},
}
CP2K_INPUTS = [
    {'FORCE_EVAL': {'DFT': {'CHARGE': '0\n&END\n@INCLUDE /etc/passwd'}}},
    {'FORCE_EVAL': {'DFT': {'CHARGE': '@INCLUDE /etc/passwd'}}},
    {'@INCLUDE': '/etc/passwd'},
    {'GLOBAL': {'A B': 1}},
    {'GLOBAL': {'A\nB': 1}},
    {'GLOBAL': {'X': '${HOME}'}},
    {'GLOBAL': {'X': '&END'}},
    {'GLOBAL': {'PROJECT': '/tmp/x'}},
    {'GLOBAL': {'PROJECT_NAME': '../x'}},
    {'FORCE_EVAL': {'DFT': {'PRINT': {'E_DENSITY_CUBE': {'FILENAME': '=/tmp/x'}}}}},
    {'FORCE_EVAL': {'DFT': {'PRINT': [{'MO': {'FILENAME': '~/x'}}]}}},
    {'FORCE_EVAL': {'DFT': 3}},
    {'FORCE_EVAL': [1]},
    {'motion': {}},
]


@pytest.mark.parametrize('sections', CP2K_INPUTS, ids=str)
def test_an_input_of_cp2k_includes_and_writes_nothing_else(sections):
    assert check_parameters(Cp2kParameters, CP2K) is None
    one_sentence(check_parameters(Cp2kParameters, {**CP2K, 'input': sections}))


def test_keywords_of_cp2k_are_one_line():
    for text in ('x\ny', '@SET x', ' &END SCF', '\x1b[2J'):
        for changes in (
            {'kinds': {'Li': {'BASIS_SET': text, 'POTENTIAL': 'x'}}},
            {'kinds': {'Li': {'BASIS_SET': 'x', 'POTENTIAL': ['y', text]}}},
            {'scf': {'mixing': {'METHOD': text}}},
            {'scf': {'solver': 'ot', 'ot': {text: 1}}},
            {'retry': {'scf': {'mixing': {'METHOD': text}}}},
        ):
            one_sentence(check_parameters(Cp2kParameters, {**CP2K, **changes}))
    # A file of basis sets may be anywhere: it is only read.
    basis = {'FORCE_EVAL': {'DFT': {'BASIS_SET_FILE_NAME': ['/opt/cp2k/BASIS_MOLOPT', './MINE']}}}
    assert objection_to_lines(basis) is None
    text = Cp2kInput(label_input(['Li'], CP2K, frames=1)).render()
    assert '@' not in text
    assert '$' not in text


# -- parameters -----------------------------------------------------------------------------------------------------

NUMBERS = (math.nan, math.inf, -math.inf, 1e300, 10**400, -1, 0, 1e9, None, 'x', [], {}, [[]], 'nan')


@pytest.mark.parametrize('name', ['temperature', 'final_temperature', 'timestep', 'temperature_damping', 'steps'])
def test_dynamics_that_no_physics_allows(name):
    assert check_parameters(MDParameters, MD) is None
    for value in NUMBERS:
        if value is None or (name in ('steps', 'temperature_damping') and value in (1e9, 10**9)):
            continue
        message = check_parameters(MDParameters, {**MD, name: value})
        one_sentence(message)
        one_sentence(check_dynamics({**MD, name: value}))


@pytest.mark.parametrize(
    ('model', 'parameters'),
    [
        (MDParameters, {**MD, 'ensemble': 'npt', 'pressure': -1.0}),
        (MDParameters, {**MD, 'pressure': 1e9}),
        (MDParameters, {**MD, 'pressure_damping': -1}),
        (MDParameters, {**MD, 'pressure_damping': math.inf}),
        (MDParameters, {**MD, 'seed': 10**30}),
        (MDParameters, {**MD, 'fixed': [-1]}),
        (MDParameters, {**MD, 'fixed': [10**30]}),
        (MDParameters, {**MD, 'watch': {'heating': math.nan}}),
        (MDParameters, {**MD, 'stop_force': math.inf}),
        (MDParameters, {**MD, 'a\x1b[2J': 1}),
        (MDParameters, {**MD, 'ensemble': 'x' * 10_000}),
        (MDParameters, {**MD, 'watch': [[[[[1]]]]]}),
        (LabelJobParameters, {'max_force': math.inf}),
        (LabelJobParameters, {'dynamics': {'temperature': 1e9, 'steps': 1, 'interval': 1}}),
        (LabelJobParameters, {'dynamics': {'temperature': 1, 'steps': 1, 'interval': 1, 'timestep': 0}}),
        (TransportParameters, {'ion': 'Li', 'timestep': math.nan}),
        (ShellLabelParameters, {'shell': {'arguments': ['x']}}),
        (TrainParameters, {'backend': 'pytorch', 'input': {'a': [math.nan]}}),
    ],
    ids=lambda value: str(value)[:60],
)
def test_parameters_that_no_physics_allows(model, parameters):
    one_sentence(check_parameters(model, parameters))


def test_nested_settings_end():
    deep: Any = 1
    for _ in range(100_000):
        deep = {'a': deep}
    for model, name in ((MDParameters, 'watch'), (TrainParameters, 'input'), (VaspParameters, 'incar')):
        one_sentence(check_parameters(model, {name: deep}))
    one_sentence(check_parameters(TrainParameters, {'input': {'a': list(range(1_100_000))}}))
    while isinstance(deep, dict):
        deep = deep.pop('a')


@pytest.mark.parametrize('model', [ConductivityParameters, ActiveLearningParameters, LabelJobParameters, MDParameters])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_settings_are_accepted_or_refused(model, data):
    names = st.sampled_from(sorted(model.model_fields)) | st.text(max_size=5)
    content = data.draw(st.dictionaries(names, JSON, max_size=4))
    message = check_parameters(model, content)
    assert message is None or message.isprintable()
    if message is None:
        json.dumps(content, allow_nan=False)
