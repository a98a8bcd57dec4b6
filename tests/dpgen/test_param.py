"""Conversion of DP-GEN's files: every key is mapped, or reported with an alternative."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiida_dpasse.base.protocols import PROTOCOLS
from aiida_dpasse.dpgen.counterparts import KEYS as COUNTERPARTS
from aiida_dpasse.dpgen.exploration import JOB_KEYS, expanded
from aiida_dpasse.dpgen.keys import UNKNOWN
from aiida_dpasse.dpgen.labels import OF_PROGRAMS
from aiida_dpasse.dpgen.param import describe, read_dpgen, replace_sections
from aiida_dpasse.dpgen.script import literal, script
from aiida_dpasse.dpgen.simplify import SIMPLIFY_KEYS
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.explore.active_learning_parameters import staged_parameters
from aiida_dpasse.explore.simplify import SimplifyWorkChain
from aiida_dpasse.parameters.base import check_parameters

FIXTURES = Path(__file__).parent / 'fixtures'
PARAM, MACHINE = FIXTURES / 'param.json', FIXTURES / 'machine.json'


def jobs(**changes) -> list[dict]:
    """The first job of the fixture, changed; None takes a key out."""
    job = json.loads(PARAM.read_text())['model_devi_jobs'][0] | changes
    return [{key: value for key, value in job.items() if value is not None}]


def test_exploration():
    """ps, bar and DP-GEN's own defaults become fs, GPa and numbers; jobs that are alike are one stage."""
    found = read_dpgen(PARAM).overrides
    assert (found['max_active_iterations'], found['final_committee']) == (3, True)
    assert found['stages'] == [
        {'temperatures': [300, 600], 'pressures': [1e-4, 1.0], 'steps': 1000},
        {'temperatures': [900], 'pressures': [1e-4], 'steps': 5000},
    ]
    assert found['explore'] == {
        'supercell': [1, 1, 1],
        'replicas': 1,
        'runs': None,
        'temperatures': [300, 600, 900],
        'pressures': [1e-4, 1.0],
        'md': {
            'ensemble': 'npt',
            'coupling': 'iso',
            'timestep': 2.0,
            'steps': 5000,
            'sample_interval': 10,
            'temperature_damping': 200.0,
            'pressure_damping': 500.0,
            'relative_deviation': 1.0,
        },
        'trust': {'mode': 'fixed', 'low': 0.05, 'high': 0.2, 'explosion': 10.0},
        'max_candidates': 60,
        'max_per_structure': None,
    }
    assert found['convergence'] == {'accurate_fraction': 0.99}


def test_committee_and_training():
    """The training input is whole, without seeds, comments, paths and old names."""
    found = read_dpgen(PARAM)
    assert found.overrides['committee'] == {
        'members': 4,
        'minimum_members': 4,
        'train': {'backend': 'tensorflow', 'compress': True},
    }
    [(place, content)] = found.sections.items()
    assert place == 'committee.train.input'
    assert content['model']['type_map'] == ['Li', 'S']
    assert 'seed' not in content['model']['descriptor']
    assert content['training'] == {
        'numb_steps': 20000,
        'disp_freq': 100,
        'save_freq': 1000,
        'training_data': {'batch_size': 4},
    }


def test_training_inputs_of_old(changed):
    """What DeePMD-kit no longer takes, or has by other names; omitted settings are reported."""
    given = json.loads(PARAM.read_text())['default_training_param']
    given['training'] = {
        **{'stop_batch': 100, 'systems': ['a'], 'set_prefix': 'part', 'batch_size': 2, 'numb_test': 10},
        **{'auto_prob_style': 'prob_sys_size', 'validation_data': {'systems': ['b'], 'batch_size': 1}},
    }
    found = changed(default_training_param=given)
    assert found.sections['committee.train.input']['training'] == {
        'numb_steps': 100,
        'training_data': {'batch_size': 4},
        'validation_data': {'batch_size': 1},
    }
    assert sorted(entry.key for entry in found.unmatched if entry.key.startswith('default')) == [
        'default_training_param.auto_prob_style',
        'default_training_param.numb_test',
        'default_training_param.training.set_prefix',
        'default_training_param.training.validation_data.systems',
    ]


def test_batch_sizes(changed):
    """One for all: DP-GEN's if they agree, `auto` otherwise or if it names none; mixed batches stay."""

    def size(**changes):
        found = changed(**changes)
        told = {entry.key for entry in found.unmatched}
        value = found.sections['committee.train.input']['training']['training_data']['batch_size']
        return value, 'sys_batch_size' in told

    assert size(init_batch_size=[4, 8]) == ('auto', True)
    assert size(init_batch_size=None, sys_batch_size=None) == ('auto', False)
    assert size(init_batch_size='auto', sys_batch_size=['auto']) == ('auto', False)
    given = json.loads(PARAM.read_text())['default_training_param']
    given['training']['training_data']['batch_size'] = 'mixed:32'
    assert size(default_training_param=given) == ('mixed:32', True)


def test_structures_and_frames():
    """Files are found by pattern below the prefix; missing files are reported."""
    found = read_dpgen(PARAM)
    assert {label: path.parent.name for label, path in found.structures.items()} == {
        'sys_000_0000': 'a',
        'sys_001_0000': 'b0',
        'sys_001_0001': 'b1',
    }
    assert (found.structure_format, found.type_map) == ('vasp/poscar', ['Li', 'S'])
    assert [path.name for path in found.datasets] == ['first']
    assert found.inputs == {'clean_workdir': True}


def test_every_key_is_mapped_or_reported():
    """None of both files is dropped, and none is both."""
    found = read_dpgen(PARAM, MACHINE)
    told = {entry.key for entry in found.unmatched}
    expected = set(json.loads(PARAM.read_text()))
    expected |= {
        f'model_devi_jobs[].{name}' for job in json.loads(PARAM.read_text())['model_devi_jobs'] for name in job
    }
    for step, program in json.loads(MACHINE.read_text()).items():
        expected.add(step)
        if isinstance(program, dict):
            expected |= {f'{step}.{name}' for name in program}
            expected |= {f'{step}.{part}.{name}' for part in ('machine', 'resources') for name in program[part]}
    expected = {key for key in expected if not key.rpartition('.')[2].startswith('_')}
    assert expected <= set(found.mapped) | told
    both = set(found.mapped) & told
    # These are mapped as a whole, and reported where jobs differ.
    assert both == {'model_devi_jobs', 'model_devi_jobs[].trj_freq', 'model_devi_jobs[].sys_idx'}


def test_keys_without_counterpart_are_reported():
    """Each with its value and what to do instead, nothing of a password."""
    found = read_dpgen(PARAM, MACHINE)
    entries = {entry.key: entry for entry in found.unmatched}
    assert sorted(key for key in entries if '.' not in key) == [
        *('api_version', 'cvasp', 'deepmd_version', 'fp_pp_path', 'fp_task_min', 'init_data_sys[1]'),
        *('model_devi_f_trust_lo and model_devi_f_trust_hi', 'model_devi_jobs', 'my_own_key', 'sys_configs[2]'),
        'training_reuse_iter',
    ]
    assert entries['model_devi_f_trust_lo and model_devi_f_trust_hi'].value == [(0.05, 0.2), (0.08, 0.3)]
    assert entries['fp_incar.ISIF'].value == 3
    assert entries['my_own_key'].why == UNKNOWN
    text = describe(found.unmatched)
    assert text.startswith(f'{len(found.unmatched)} settings ')
    assert '\n  model_devi_jobs[].nbeads = 8\n' in text
    assert 'secret' not in text + str(found)
    assert describe([]) == 'Everything has a counterpart.'


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_parameters_are_those_of_the_active_learning(protocol):
    """Laid over any protocol, with and without the whole sections, they are accepted."""
    found, chain = read_dpgen(PARAM, MACHINE), ActiveLearningWorkChain
    parameters = chain.protocol_parameters(protocol, found.overrides)
    assert check_parameters(chain.PARAMETERS, parameters) is None
    whole = found.complete(parameters)
    assert check_parameters(chain.PARAMETERS, whole) is None
    assert whole['committee']['train']['input'] == found.sections['committee.train.input']
    with pytest.raises(ValueError, match=r'`seed\.deeper`'):
        replace_sections(parameters, {'seed.deeper': {}})


def test_files_that_are_not_there(changed):
    """Structures, INCAR and POTCARs that are elsewhere do not prevent the conversion, and are reported."""
    found = changed(sys_configs_prefix='nowhere', fp_incar='NO_INCAR', fp_pp_path='nowhere')
    assert found.structures == {}
    assert found.overrides['label']['vasp'] == {}
    keys = {entry.key for entry in found.unmatched}
    assert {'sys_configs[0][0]', 'sys_configs[1][0]', 'fp_incar', 'fp_pp_files'} <= keys


def test_systems_of_one_structure_each(changed):
    """Then DP-GEN's limit is one for a structure here, too."""
    found = changed(sys_configs=[['a/POSCAR'], ['b0/POSCAR'], []])
    assert found.overrides['explore']['max_candidates'] == 60
    assert found.overrides['explore']['max_per_structure'] == 30


def test_constant_volume(changed):
    """Pressures that DP-GEN does not read are not run, and there is one stage."""
    found = changed(model_devi_jobs=jobs(ensemble='nvt'), use_relative=False)
    explore = found.overrides['explore']
    assert found.overrides['stages'] is None
    assert explore['pressures'] == [0.0]
    assert (explore['md']['ensemble'], explore['md']['coupling']) == ('nvt', None)
    assert 'relative_deviation' not in explore['md']
    assert found.mapped['model_devi_jobs[].press'].startswith('nothing')
    assert 'epsilon' in {entry.key for entry in found.unmatched}


def test_each_job_keeps_its_ensemble(changed):
    """A job at constant volume is none at zero pressure; a barostat is that of the job."""
    given = jobs(temps=[300]) + jobs(ensemble='nvt', temps=[1000], press=None) + jobs(ensemble='npt-t', press=[0.0])
    found = changed(model_devi_jobs=given)
    stages = [(stage['ensemble'], stage.get('coupling')) for stage in found.overrides['stages']]
    assert stages == [('npt', 'iso'), ('nvt', None), ('npt', 'tri')]
    assert not [entry.key for entry in found.unmatched if 'ensemble' in entry.key]
    chain = ActiveLearningWorkChain
    parameters = found.complete(chain.protocol_parameters('balanced', found.overrides))
    assert check_parameters(chain.PARAMETERS, parameters) is None
    explored = [staged_parameters(parameters['explore'], stage) for stage in parameters['stages']]
    assert [(one['md']['ensemble'], one['md']['coupling'], one['pressures']) for one in explored] == [
        *(('npt', 'iso', [1e-4, 1.0]), ('nvt', 'iso', [0.0]), ('npt', 'tri', [0.0])),
    ]


def test_a_lower_trust_level_of_zero(changed):
    """Every frame is a candidate, as with DP-GEN."""
    found, chain = changed(model_devi_f_trust_lo=0.0), ActiveLearningWorkChain
    assert found.overrides['explore']['trust']['low'] == 0.0
    for protocol in PROTOCOLS:
        parameters = chain.protocol_parameters(protocol, found.overrides)
        assert check_parameters(chain.PARAMETERS, parameters) is None
    parameters['explore']['trust']['mode'] = 'adaptive'
    assert '`low`' in check_parameters(chain.PARAMETERS, parameters)
    with pytest.raises(ValueError, match='`model_devi_f_trust_lo`'):
        changed(model_devi_f_trust_lo=-0.1)


def test_yaml_is_read(tmp_path):
    """The same as the JSON; numbers as keys are text."""
    shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
    content = json.loads(PARAM.read_text())
    content['model_devi_f_trust_lo'] = {0: 0.05, 1: 0.08}
    paths = tmp_path / 'param.yaml', tmp_path / 'machine.yml'
    paths[0].write_text(yaml.safe_dump(content, sort_keys=False))
    paths[1].write_text(yaml.safe_dump(json.loads(MACHINE.read_text()), sort_keys=False))
    assert read_dpgen(*paths) == read_dpgen(tmp_path / 'param.json', tmp_path / 'machine.json')
    for text in ('a: [1', 'a: !!python/object/apply:os.system [ls]'):
        paths[0].write_text(text)
        with pytest.raises(ValueError, match='is no YAML') as caught:
            read_dpgen(paths[0])
        assert '\n' not in str(caught.value)


def simplify(**changes) -> dict:
    """An input of `dpgen simplify` for labelled data."""
    content = json.loads(PARAM.read_text())
    names = ('type_map', 'numb_models', 'train_backend', 'default_training_param')
    own = {'labeled': True, 'pick_data': 'data/first', 'init_pick_number': 2, 'iter_pick_number': 1, 'fp_style': 'none'}
    levels = {'model_devi_f_trust_lo': 0.0, 'model_devi_f_trust_hi': 0.3, 'model_devi_e_trust_lo': 1e10}
    others = {'init_data_sys': [], 'sys_configs': [], 'model_devi_jobs': []}
    return {**{name: content[name] for name in names}, **own, **levels, **others, **changes}


def test_a_selection_of_labelled_data_is_converted(tmp_path):
    """Into `dpasse.simplify`; deviations are computed by the machine of `model_devi`."""
    shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
    path = tmp_path / 'simplify.json'
    path.write_text(json.dumps(simplify(my_own_key=7, init_data_sys=['old'])))
    found = read_dpgen(path, MACHINE)
    assert found.chain == 'dpasse.simplify'
    assert {name: found.overrides[name] for name in ('initial', 'max_candidates', 'low', 'high')} == {
        **{'initial': 2, 'max_candidates': 1, 'low': 0.0, 'high': 0.3},
    }
    assert [entry.key for entry in found.unmatched if '.' not in entry.key] == [
        *('init_data_sys', 'my_own_key', 'api_version', 'deepmd_version'),
    ]
    assert [path.name for path in found.datasets] == ['first']
    assert (sorted(found.options), found.to_do) == (['evaluate', 'train'], {})
    assert found.options['evaluate']['custom_scheduler_commands'] == '#SBATCH --gpus=a100:1'
    chain = SimplifyWorkChain
    for protocol in PROTOCOLS:
        parameters = found.complete(chain.protocol_parameters(protocol, found.overrides))
        assert check_parameters(chain.PARAMETERS, parameters) is None
    path.write_text(json.dumps(simplify(pick_data=['gone'])))
    assert list(read_dpgen(path).to_do) == ['frames']


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        (simplify(labeled=False, init_pick_number='100,'), r'`dpgen simplify`.*`dpasse\.label`'),
        (simplify(init_pick_number='100,'), '`init_pick_number`'),
        ({'stages': [1, 2], 'super_cell': [2, 2, 2], 'pert_numb': 3}, r'`dpgen init_bulk`.*`dpasse\.initial_data`'),
        ({'stages': [1], 'super_cell': [2, 2, 2], 'layer_numb': 3}, '`dpgen init_surf`'),
        ({'type_map': ['H'], 'reaxff': {}}, '`dpgen init_reaction`'),
        ({'structures': ['a'], 'interaction': {}}, '`dpgen autotest`'),
        ({'train': {}, 'fp': {}}, 'machine file'),
    ],
)
def test_other_inputs_are_named(content, sentence, tmp_path):
    path = tmp_path / 'param.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=sentence) as caught:
        read_dpgen(path)
    assert '\n' not in str(caught.value)


def test_templates_and_tension(changed):
    """With a template the conditions of the protocol remain. Pressures below 0 are reported."""
    job = {'sys_idx': [0], 'trj_freq': 10, 'template': {'lmp': 'in.lammps'}, 'rev_mat': {'lmp': {'V_TEMP': [300]}}}
    found = changed(model_devi_jobs=[job])
    assert not {'temperatures', 'pressures'} & set(found.overrides['explore'])
    assert {'model_devi_jobs[].template', 'model_devi_jobs[].rev_mat'} <= {entry.key for entry in found.unmatched}
    assert 'explore' in found.to_do
    found = changed(model_devi_jobs=jobs(press=[-1000.0, 0.0]))
    assert found.overrides['explore']['pressures'] == [0.0]
    assert [entry.value for entry in found.unmatched if entry.key == 'model_devi_jobs[].press'] == [[-1000.0]]


def test_indices_of_systems():
    """DP-GEN's ranges end before their last number."""
    assert expanded([0, '2-6:2', '7-9'], 10) == [0, 2, 4, 7, 8]
    for given in (['a'], ['3-x'], 3):
        with pytest.raises(ValueError, match='sys_idx` should'):
            expanded(given, 10)


def test_keys_without_effect_are_not_reported(changed):
    """A key whose value is what is done here anyway."""
    found = changed(model_devi_nopbc=False, use_ele_temp=0, model_devi_merge_traj=True, one_h5=True)
    told = {entry.key for entry in found.unmatched}
    assert not {'model_devi_nopbc', 'use_ele_temp', 'model_devi_merge_traj', 'mass_map'} & told
    assert 'one_h5' in told


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'type_map': None}, '`type_map`'),
        ({'type_map': ['Li', 'Li']}, '`type_map`'),
        ({'numb_models': 1}, '`numb_models`'),
        ({'numb_models': 'four'}, '`numb_models`'),
        ({'default_training_param': {'model': {}}}, r'`default_training_param\.learning_rate`'),
        ({'train_backend': 'jax'}, '`train_backend`'),
        ({'model_devi_engine': 'gromacs'}, 'gromacs'),
        ({'model_devi_jobs': []}, '`model_devi_jobs`'),
        ({'model_devi_jobs': jobs(temps=None)}, r'`ensemble`.*`temps`.*`nsteps`'),
        ({'model_devi_jobs': jobs(temps=[0])}, r'temps`.* 0\.'),
        ({'model_devi_jobs': jobs(ensemble='nph')}, 'ensemble` is unknown'),
        ({'model_devi_jobs': jobs(sys_idx=[5])}, 'names system 5'),
        ({'model_devi_f_trust_lo': 0.5}, r'`model_devi_f_trust_lo`.*0'),
        ({'model_devi_f_trust_lo': {'1': 0.1}}, 'system 0'),
        ({'epsilon': None}, '`epsilon`'),
        ({'model_devi_f_trust_hi': 0.0}, '`model_devi_f_trust_hi`'),
        ({'fp_style': None}, '`fp_style`'),
        ({'fp_accurate_threshold': 1.5}, '`fp_accurate_threshold`'),
        ({'ratio_failed': 2}, '`ratio_failed`'),
        ({'fp_task_max': 2.5}, r'`fp_task_max`.* 2\.5\.'),
        ({'init_batch_size': [{}]}, '`init_batch_size`'),
        ({'default_training_param': 3}, '`default_training_param`.* 3'),
        ({'fp_style': 'cp2k', 'user_fp_params': {'FORCE_EVAL': 3}}, '`FORCE_EVAL`'),
    ],
)
def test_wrong_values_are_refused_in_one_sentence(changed, changes, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        changed(**changes)
    assert '\n' not in str(caught.value)


def test_wrong_files_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / 'param.json'
    not_finite = [(f'{{"a": {number}}}', 'not finite') for number in ('NaN', '-Infinity', '1e999', '1' + '0' * 5000)]
    for text, sentence in (('{', 'is no JSON'), *not_finite, ('[' * 100000, 'deep'), ('[1]', 'should be a mapping')):
        path.write_text(text)
        with pytest.raises(ValueError, match=sentence):
            read_dpgen(path)
    with pytest.raises(ValueError, match=r'none\.json'):
        read_dpgen(tmp_path / 'none.json')
    path.write_text('{"train_machine": {}}')
    with pytest.raises(ValueError, match=r'`train`.*`model_devi`.*`fp`'):
        read_dpgen(PARAM, path)


#: Text that would be code, a comment or another line if it were written as it is.
HOSTILE = (
    '"""',
    "'''",
    "'); import os #",
    '\\',
    'a\nimport os\n',
    '{braces}',
    '\r\x1b[2J\u2028\u202e',
)


def parts(text: str) -> tuple[dict[str, Any], list[str]]:
    """The constants of a script by name, and its other statements."""
    values, code = {}, []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
            values[node.targets[0].id] = ast.literal_eval(node.value)
        else:
            code.append(ast.dump(node))
    return values, code


@pytest.mark.parametrize('text', HOSTILE)
def test_strings_of_the_files_are_no_code(text, tmp_path):
    """They are values of the script, bit by bit, wherever they stand."""
    shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
    content = json.loads(PARAM.read_text())
    content['default_training_param']['model'][text] = text
    changes = {text: text, 'fp_style': text, 'fp_incar': text}
    path = tmp_path / 'hostile.json'
    path.write_text(json.dumps({**content, **changes}))
    machine = tmp_path / 'machine.json'
    resources = {'custom_flags': [text], 'envs': {'A': text}, 'prepend_script': [text]}
    machine.write_text(json.dumps({'train': {'command': text, 'resources': resources}}))
    found = read_dpgen(path, machine)
    values, code = parts(script(found, text, text))
    assert (values['SOURCE'], values['PROTOCOL']) == (text, text)
    assert values['SECTIONS']['committee.train.input']['model'][text] == text
    assert values['OPTIONS'] == found.options
    # Apart from these values the script is the same for every file.
    assert code == parts(script(read_dpgen(PARAM), 'param.json'))[1]
    assert describe(found.unmatched).replace('\n', '').isprintable()


def test_literals_are_python():
    value = {'a': [1, None, True], 'b': {'c': 'x' * 90, 'd': [{'e': 1.5}] * 20}}
    assert eval(literal(value)) == value
    assert max(len(line) for line in literal(value).splitlines()) < 120


def test_documentation_names_every_key():
    """What has no counterpart is in the page for those who move over."""
    page = (Path(__file__).parents[2] / 'docs' / 'dpgen.md').read_text()
    assert [name for name in (*COUNTERPARTS, *JOB_KEYS, *OF_PROGRAMS, *SIMPLIFY_KEYS) if f'`{name}`' not in page] == []
    assert [key for key in json.loads(PARAM.read_text()) if f'`{key}`' not in page] == ['_comment', 'my_own_key']
