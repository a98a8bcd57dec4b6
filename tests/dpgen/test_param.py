"""DP-GEN's files in our terms: every key is mapped, or told with what to do instead."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aiida_dpasse.calculations.parameters import check_parameters
from aiida_dpasse.dpgen.cp2k import functional, kinds_of, settings
from aiida_dpasse.dpgen.exploration import expanded
from aiida_dpasse.dpgen.keys import Keys, Ledger
from aiida_dpasse.dpgen.labels import OF_VASP, electrons, old_incar, parse_incar
from aiida_dpasse.dpgen.machine import read_machine, seconds
from aiida_dpasse.dpgen.param import Conversion, describe, read_dpgen, replace_sections
from aiida_dpasse.dpgen.script import literal
from aiida_dpasse.workflows.active_learning import ActiveLearningWorkChain
from aiida_dpasse.workflows.label_vasp import _objection_to_tags
from aiida_dpasse.workflows.protocols.loader import PROTOCOLS

FIXTURES = Path(__file__).parent / 'fixtures'
PARAM, MACHINE = FIXTURES / 'param.json', FIXTURES / 'machine.json'


@pytest.fixture
def changed(tmp_path):
    """Return a reader of the fixture with other values; None takes a key out."""

    def read(**changes) -> Conversion:
        shutil.copytree(FIXTURES, tmp_path, dirs_exist_ok=True)
        content = {**json.loads(PARAM.read_text()), **changes}
        path = tmp_path / 'changed.json'
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
        return read_dpgen(path)

    return read


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


def test_vasp_labels():
    """The INCAR's tags, VASP's own defaults where it is silent, KSPACING and POTCARs by name."""
    found = read_dpgen(PARAM, MACHINE)
    assert found.labeller == 'vasp'
    assert found.overrides['label'] == {
        'minimum_success': 0.8,
        'batch_size': 20,
        'vasp': {
            'incar': {
                **OF_VASP,
                'PREC': 'A',
                'ENCUT': 520,
                'EDIFF': 1e-6,
                'ALGO': 'F',
                'LREAL': False,
                'LWAVE': False,
                'ISMEAR': 0,
                'SIGMA': 0.05,
                'NELM': 120,
                'MAGMOM': '4*0.6',
            },
            'kpoints': {'spacing': 0.25, 'mesh': None},
            'potential_mapping': {'Li': 'Li_sv', 'S': 'S'},
        },
    }
    assert _objection_to_tags(found.overrides['label']['vasp']['incar']) is None


def test_no_tag_of_a_protocol_shines_through():
    """A functional or cutoff that the INCAR does not name is that of the POTCAR, not the protocol's."""
    own = ActiveLearningWorkChain.protocol_parameters('moderate')['label']['vasp']['incar']
    assert set(own) - {'LWAVE', 'LCHARG'} == set(OF_VASP)


def test_structures_and_frames():
    """Files are found by pattern below the prefix; what is not there is told."""
    found = read_dpgen(PARAM)
    assert {label: path.parent.name for label, path in found.structures.items()} == {
        'sys_000_0000': 'a',
        'sys_001_0000': 'b0',
        'sys_001_0001': 'b1',
    }
    assert (found.structure_format, found.type_map) == ('vasp/poscar', ['Li', 'S'])
    assert [path.name for path in found.datasets] == ['first']
    assert found.inputs == {'clean_workdir': True}


def test_every_key_is_mapped_or_told():
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
    # These are mapped as a whole, and told for what differs between jobs.
    assert both == {'model_devi_jobs', 'model_devi_jobs[].trj_freq', 'model_devi_jobs[].sys_idx'}


def test_what_has_no_counterpart_is_told():
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
    assert entries['my_own_key'].why.startswith('it is none of the keys')
    text = describe(found.unmatched)
    assert text.startswith(f'{len(found.unmatched)} settings have no counterpart.\n')
    assert '\n  model_devi_jobs[].nbeads = 8\n' in text
    assert 'secret' not in text + str(found)
    assert describe([]) == 'Everything has a counterpart.'


def test_machines():
    """One process with threads unless the command starts several; walltime, GPU, queue and shell lines."""
    options = read_dpgen(PARAM, MACHINE).options
    assert options == {
        'train': {
            'withmpi': False,
            'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 8},
            'queue_name': 'gpu',
            'max_wallclock_seconds': 95400,
            'custom_scheduler_commands': '#SBATCH --mem=32G\n#SBATCH --gres=gpu:1',
            'prepend_text': 'module purge\nmodule load deepmd/3.2\nsource /opt/env.sh\nexport OMP_NUM_THREADS=4\n'
            'ulimit -s unlimited',
            'append_text': 'date',
        },
        'md': {
            'withmpi': False,
            'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 4},
            'queue_name': 'gpu',
            'custom_scheduler_commands': '#SBATCH --gpus=a100:1',
        },
        'vasp': {
            'withmpi': True,
            'resources': {'tot_num_mpiprocs': 64},
            'queue_name': 'cpu',
            'max_wallclock_seconds': 45000,
        },
        'evaluate': options['train'],
    }


@pytest.mark.parametrize('batch_type', ['Slurm', 'PBS', 'Torque', 'SGE', 'LSF', 'Shell'])
@pytest.mark.parametrize('command', ['mpirun -n 4 vasp_std', 'dp'])
def test_resources_are_those_of_the_scheduler(batch_type, command):
    """AiiDA's own scheduler takes them."""
    from aiida.plugins import SchedulerFactory

    from aiida_dpasse.dpgen.machine import SCHEDULERS

    content = {'fp': {'command': command, 'machine': {'batch_type': batch_type}, 'resources': {'cpu_per_node': 4}}}
    options, batch = read_machine(content, None, Ledger())
    assert batch is None
    resources = options['label']['resources']
    created = SchedulerFactory(SCHEDULERS[batch_type.lower()]).create_job_resource(**resources)
    assert created.get_tot_num_mpiprocs() == (4 if command != 'dp' or 'tot_num_mpiprocs' in resources else 1)


@pytest.mark.parametrize(
    ('text', 'scheduler', 'expected'),
    [
        ('90', 'core.slurm', 5400),
        ('90:30', 'core.slurm', 5430),
        ('96:0:0', 'core.slurm', 345600),
        ('2-12', 'core.slurm', 216000),
        ('1-00:30', 'core.slurm', 88200),
        ('30', 'core.lsf', 1800),
        ('12:30', 'core.lsf', 45000),
        ('01:00:30', 'core.pbspro', 3630),
        ('3600', 'core.sge', 3600),
    ],
)
def test_walltimes(text, scheduler, expected):
    assert seconds(text, scheduler) == expected


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_parameters_are_those_of_the_active_learning(protocol):
    """Laid over any protocol, with and without the whole sections, they are accepted."""
    found, chain = read_dpgen(PARAM, MACHINE), ActiveLearningWorkChain
    parameters = chain.protocol_parameters(protocol, found.overrides)
    assert check_parameters(chain.PARAMETERS, parameters) is None
    whole = found.complete(parameters)
    assert check_parameters(chain.PARAMETERS, whole) is None
    assert whole['committee']['train']['input'] == found.sections['committee.train.input']
    with pytest.raises(ValueError, match=r'no place `seed\.deeper`'):
        replace_sections(parameters, {'seed.deeper': {}})


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_cp2k_labels(changed, protocol):
    """Names of our own for what has one, the other sections as they are."""
    content = json.loads((FIXTURES / 'cp2k.json').read_text())
    found = changed(fp_style='cp2k', fp_incar=None, cvasp=None, fp_pp_files=None, fp_pp_path=None, **content)
    assert found.labeller == 'cp2k'
    assert found.overrides['label']['cp2k'] == {
        'functional': 'PBESOL',
        'cutoff': 600,
        'rel_cutoff': 50,
        'eps_default': 1e-13,
        'kpoints': None,
        'scf': {'solver': 'ot', 'eps': 1e-7, 'steps': 100, 'ot': {'MINIMIZER': 'DIIS'}},
        'kinds': {
            'Li': {'POTENTIAL': 'GTH-PBE-q3', 'BASIS_SET': 'DZVP-MOLOPT-SR-GTH'},
            'S': {'POTENTIAL': 'GTH-PBE-q6', 'BASIS_SET': 'TZVP-MOLOPT-GTH'},
        },
        'input': {
            'FORCE_EVAL': {
                'METHOD': 'QS',
                'DFT': {
                    'CHARGE': 0,
                    'MGRID': {'NGRIDS': 5},
                    'XC': {'VDW_POTENTIAL': {'POTENTIAL_TYPE': 'PAIR_POTENTIAL'}},
                },
            }
        },
    }
    assert sorted(entry.key for entry in found.unmatched if entry.key.startswith('user_fp_params')) == [
        'user_fp_params.FORCE_EVAL.DFT.BASIS_SET_FILE_NAME',
        'user_fp_params.FORCE_EVAL.STRESS_TENSOR',
        'user_fp_params.FORCE_EVAL.SUBSYS.CELL',
        'user_fp_params.GLOBAL.PROJECT',
    ]
    chain = ActiveLearningWorkChain
    parameters = found.complete(chain.protocol_parameters(protocol, found.overrides))
    assert check_parameters(chain.PARAMETERS, parameters) is None


def test_other_sections_of_cp2k():
    """Diagonalization, a mesh of k-points, and a functional without a name of ours."""
    given = {
        'FORCE_EVAL': {
            'DFT': {
                'KPOINTS': {'SCHEME': 'MONKHORST-PACK 2 2 1'},
                'SCF': {'MIXING': {'ALPHA': 0.2}, 'ADDED_MOS': 20},
                'XC': {'XC_FUNCTIONAL': {'_': 'BLYP'}},
            },
            'SUBSYS': {'KIND': {'_': 'Li', 'POTENTIAL': 'GTH-PBE-q3', 'BASIS_SET': 'DZVP-MOLOPT-SR-GTH'}},
        }
    }
    found = settings(given, 'user_fp_params', Ledger())
    assert found['kpoints'] == {'mesh': [2, 2, 1], 'spacing': None}
    assert found['scf'] == {
        'solver': 'diagonalization',
        'eps': 1e-6,
        'steps': 50,
        'mixing': {'ALPHA': 0.2},
        'added_orbitals': 20,
    }
    assert found['functional'] is None
    assert found['input']['FORCE_EVAL']['DFT']['XC'] == {'XC_FUNCTIONAL': {'_': 'BLYP'}}
    assert functional({'_': 'PBE'}) == functional({'PBE': {}}) == 'PBE'
    with pytest.raises(ValueError, match='should name elements'):
        kinds_of(None, 'user_fp_params')
    with pytest.raises(ValueError, match='one entry for each of 2 elements'):
        kinds_of({'_': ['Li', 'S'], 'POTENTIAL': ['GTH-PBE-q3']}, 'user_fp_params')


def test_other_programs_that_label(changed):
    """They are told, with their settings; the rest is converted."""
    found = changed(fp_style='gaussian', fp_params={'keywords': 'force b3lyp/6-31g**', 'nproc': 4})
    assert found.labeller is None
    assert found.overrides['label'] == {'minimum_success': 0.8}
    assert {'fp_style', 'fp_params', 'fp_incar'} <= {entry.key for entry in found.unmatched}


def test_few_settings_of_vasp():
    """`fp_params` are made into the tags that DP-GEN makes of them."""
    ledger = Ledger()
    given = {'ecut': 400, 'ediff': 1e-6, 'npar': 4, 'kpar': 1, 'kspacing': 0.5, 'smearing': 'mp:2', 'sigma': 0.1}
    tags = old_incar(Keys({**given, 'metagga': 'SCAN'}, ledger, 'fp_params.'))
    assert tags['KSPACING'] == 0.5
    assert (tags['ENCUT'], tags['ISMEAR'], tags['SIGMA'], tags['METAGGA'], tags['LASPH']) == (400, 2, 0.1, 'SCAN', True)
    assert ledger.unmatched == []
    with pytest.raises(ValueError, match=r'`fp_params\.ecut` is missing'):
        old_incar(Keys({}, ledger, 'fp_params.'))


def test_incar():
    text = 'ENCUT = 600 # eV\nLORBIT=11;LASPH= .TRUE.\nGGA = PS\n! NSW = 3\nALGO = T\nROPT = 1E-3 1d-3\nIVDW = 12\n'
    assert parse_incar(text) == {
        **{'ENCUT': 600, 'LORBIT': 11, 'LASPH': True, 'GGA': 'PS', 'ALGO': 'T', 'ROPT': [1e-3, 1e-3], 'IVDW': 12}
    }
    ledger = Ledger()
    assert electrons({'NSW': 0, 'IBRION': 2, 'ENCUT': 600}, 'fp_incar', ledger) == {'ENCUT': 600}
    assert [entry.key for entry in ledger.unmatched] == ['fp_incar.IBRION']


def test_files_that_are_not_there(changed):
    """Structures, INCAR and POTCARs that are elsewhere do not hinder the conversion, and are told."""
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
    assert found.mapped['model_devi_jobs[].press'] == 'nothing: the volume is constant'
    assert 'epsilon' in {entry.key for entry in found.unmatched}


def test_templates_and_tension(changed):
    """A script of one's own says the conditions: the protocol's stay. Pressures below 0 are told."""
    job = {'sys_idx': [0], 'trj_freq': 10, 'template': {'lmp': 'in.lammps'}, 'rev_mat': {'lmp': {'V_TEMP': [300]}}}
    found = changed(model_devi_jobs=[job])
    assert not {'temperatures', 'pressures'} & set(found.overrides['explore'])
    assert {'model_devi_jobs[].template', 'model_devi_jobs[].rev_mat'} <= {entry.key for entry in found.unmatched}
    found = changed(model_devi_jobs=jobs(press=[-1000.0, 0.0]))
    assert found.overrides['explore']['pressures'] == [0.0]
    assert [entry.value for entry in found.unmatched if entry.key == 'model_devi_jobs[].press'] == [[-1000.0]]


def test_indices_of_systems():
    """DP-GEN's ranges end before their last number."""
    assert expanded([0, '2-6:2', '7-9'], 10) == [0, 2, 4, 7, 8]
    for given in (['a'], ['3-x'], 3):
        with pytest.raises(ValueError, match='sys_idx` should'):
            expanded(given, 10)


def test_what_asks_for_nothing_is_not_told(changed):
    """A key whose value is what is done here anyway."""
    found = changed(model_devi_nopbc=False, use_ele_temp=0, model_devi_merge_traj=True, one_h5=True)
    told = {entry.key for entry in found.unmatched}
    assert not {'model_devi_nopbc', 'use_ele_temp', 'model_devi_merge_traj', 'mass_map'} & told
    assert 'one_h5' in told


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'type_map': None}, '`type_map` is missing'),
        ({'type_map': ['Li', 'Li']}, 'should name each element once'),
        ({'numb_models': 1}, r'`numb_models` should be greater than 1, got 1\.'),
        ({'numb_models': 'four'}, r'`numb_models` should be a number, got "four"\.'),
        ({'default_training_param': {'model': {}}}, r'`default_training_param\.learning_rate` is missing'),
        ({'train_backend': 'jax'}, 'should be tensorflow or pytorch'),
        ({'model_devi_engine': 'gromacs'}, 'exploration by gromacs has no counterpart'),
        ({'model_devi_jobs': []}, 'is empty'),
        ({'model_devi_jobs': jobs(temps=None)}, 'lacks `ensemble`, `temps` or `nsteps`'),
        ({'model_devi_jobs': jobs(temps=[0])}, r'temps` should be greater than 0, got 0\.'),
        ({'model_devi_jobs': jobs(ensemble='nph')}, 'ensemble` is unknown'),
        ({'model_devi_jobs': jobs(sys_idx=[5])}, 'names system 5'),
        ({'model_devi_f_trust_lo': 0.5}, r'`model_devi_f_trust_lo` \(0\.5\) should be below'),
        ({'model_devi_f_trust_lo': {'1': 0.1}}, 'is missing for system 0'),
        ({'epsilon': None}, '`epsilon` is missing'),
        ({'fp_style': None}, '`fp_style` is missing'),
        ({'fp_accurate_threshold': 1.5}, 'at most 1'),
        ({'ratio_failed': 2}, 'between 0 and 1'),
        ({'fp_task_max': 2.5}, r'should be a whole number, got 2\.5\.'),
    ],
)
def test_wrong_values_are_refused_in_one_sentence(changed, changes, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        changed(**changes)
    assert '\n' not in str(caught.value)


def test_wrong_files_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / 'param.json'
    for text, sentence in (('{', 'is no JSON'), ('[1]', 'should be a mapping')):
        path.write_text(text)
        with pytest.raises(ValueError, match=sentence):
            read_dpgen(path)
    with pytest.raises(ValueError, match='cannot be read'):
        read_dpgen(tmp_path / 'none.json')
    path.write_text('{"train_machine": {}}')
    with pytest.raises(ValueError, match='none of `train`, `model_devi` and `fp`'):
        read_dpgen(PARAM, path)


def test_literals_are_python():
    value = {'a': [1, None, True], 'b': {'c': 'x' * 90, 'd': [{'e': 1.5}] * 20}}
    assert eval(literal(value)) == value
    assert max(len(line) for line in literal(value).splitlines()) < 120
