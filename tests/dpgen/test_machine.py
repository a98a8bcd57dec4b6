"""DP-GEN's machines as scheduler options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiida_dpasse.dpgen.keys import Ledger
from aiida_dpasse.dpgen.machine import SCHEDULERS, read_command, read_machine, seconds
from aiida_dpasse.dpgen.param import describe, read_dpgen

FIXTURES = Path(__file__).parent / 'fixtures'
PARAM, MACHINE = FIXTURES / 'param.json', FIXTURES / 'machine.json'


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
@pytest.mark.parametrize('command', ['mpirun -n 4 vasp_std', 'mpirun vasp_std', 'dp'])
def test_resources_are_those_of_the_scheduler(batch_type, command):
    """AiiDA's own scheduler takes them."""
    from aiida.plugins import SchedulerFactory

    content = {'fp': {'command': command, 'machine': {'batch_type': batch_type}, 'resources': {'cpu_per_node': 4}}}
    options, batch, _ = read_machine(content, None, Ledger())
    assert batch is None
    resources = options['label']['resources']
    created = SchedulerFactory(SCHEDULERS[batch_type.lower()]).create_job_resource(**resources)
    assert created.get_tot_num_mpiprocs() == (4 if command != 'dp' or 'tot_num_mpiprocs' in resources else 1)


def test_passwords_and_lists_of_machines():
    """What may hold a password is not shown; of several machines the first is taken, as DP-GEN does."""
    content = json.loads(MACHINE.read_text())
    content = {'handlers': {'smtp': {'credentials': ['me', 'secret']}}, 'train': [content['train'], {}]}
    ledger = Ledger()
    options, batch, _ = read_machine(content, None, ledger)
    assert (sorted(options), batch) == (['evaluate', 'train'], None)
    assert {'handlers', 'train[1:]', 'train.machine.remote_profile'} <= {entry.key for entry in ledger.unmatched}
    assert 'secret' not in describe(ledger.unmatched)
    # A list of one machine loses nothing; passwords of files of other times and at other places are hidden, too.
    machine = {'machine': {'batch_type': 'Slurm', 'password': 'secret'}, 'extra': [{'token': 'secret'}]}
    ledger = Ledger()
    read_machine({'train': [machine], 'password': 'secret'}, None, ledger)
    assert sorted(entry.key for entry in ledger.unmatched) == ['password', 'train.extra', 'train.machine.password']
    assert 'secret' not in str(ledger.unmatched)


def test_other_schedulers():
    """A GPU of PBS, and a scheduler that AiiDA does not have, are reported; an array of SLURM is SLURM."""
    ledger = Ledger()
    for batch_type in ('PBS', 'Bohrium', 'SlurmJobArray'):
        machine, resources = {'batch_type': batch_type}, {'gpu_per_node': 2, 'group_size': 3}
        options, batch, _ = read_machine({'fp': {'machine': machine, 'resources': resources}}, 'cp2k', ledger)
        assert batch == 3
    assert options['cp2k']['custom_scheduler_commands'] == '#SBATCH --gres=gpu:2'
    assert [(entry.key, entry.value) for entry in ledger.unmatched] == [
        ('fp.resources.gpu_per_node', 2),
        ('fp.machine.batch_type', 'Bohrium'),
    ]
    for text in ('soon', '1:2:3:4'):
        with pytest.raises(ValueError, match=text):
            seconds(text, 'core.slurm')


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


def test_directives_stand_before_commands():
    """SLURM ignores a directive below the first command: the GPU of `#SBATCH --gres` was not asked for."""
    resources = {
        'cpu_per_node': 64,
        'gpu_per_node': 1,
        'custom_flags': ['#SBATCH --exclusive', 'conda activate deepmd', '#SBATCH --time=1:00:00\n#SBATCH --mem=8G'],
        'module_list': ['cuda'],
        'prepend_script': ['ulimit -s unlimited'],
    }
    content = {'train': {'command': 'dp', 'machine': {'batch_type': 'Slurm'}, 'resources': resources}}
    options = read_machine(content, None, Ledger()).options['train']
    assert options['custom_scheduler_commands'] == '#SBATCH --exclusive\n#SBATCH --mem=8G\n#SBATCH --gres=gpu:1'
    assert options['prepend_text'] == 'conda activate deepmd\nmodule load cuda\nulimit -s unlimited'
    assert options['max_wallclock_seconds'] == 3600


@pytest.mark.parametrize(
    ('text', 'code', 'expected'),
    [
        ('mpirun -np 4 lmp', 'lmp', ([], True, 4, 'lmp')),
        ('OMP_NUM_THREADS=8 dp', 'dp', (['export OMP_NUM_THREADS=8'], False, None, 'dp')),
        ('env A="b c" N=$N lmp_mpi', 'lmp', (['export A="b c"', 'export N=$N'], False, None, 'lmp_mpi')),
        ('ulimit -s 9 && srun --mpi=pmi2 -n 16 -c 2 /opt/vasp_gam', 'vasp', (['ulimit -s 9'], True, 16, 'vasp_gam')),
        ('srun --ntasks=8 vasp_std', 'vasp', ([], True, 8, 'vasp_std')),
        ('mpiexec.hydra -n4 vasp_std', 'vasp', ([], True, 4, 'vasp_std')),
        ('mpirun --bind-to core cp2k.popt', 'cp2k', ([], True, None, 'cp2k.popt')),
        ('g16 < input > output || :', None, ([], False, None, None)),
        ('', 'dp', ([], False, None, None)),
    ],
)
def test_commands(text, code, expected):
    """Shell lines before the program, launcher, number of processes, and name of the program."""
    assert tuple(read_command(text, code)) == expected


def test_a_launcher_keeps_its_number():
    """`mpirun -np 4` starts four processes, which share the cores of the node; `-np 6` on 4 nodes is said."""
    resources = {'number_node': 1, 'cpu_per_node': 64}
    program = {'command': 'OMP_NUM_THREADS=16 mpirun -np 4 lmp', 'resources': resources}
    content = {'model_devi': {**program, 'machine': {'batch_type': 'Slurm'}}}
    ledger = Ledger()
    options = read_machine(content, None, ledger).options['md']
    assert options == {
        'withmpi': True,
        'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 4, 'num_cores_per_mpiproc': 16},
        'prepend_text': 'export OMP_NUM_THREADS=16',
    }
    assert [entry.key for entry in ledger.unmatched] == ['model_devi.command']
    content['model_devi'] |= {'command': 'mpirun -np 6 lmp', 'resources': {'number_node': 4}}
    options = read_machine(content, None, ledger).options['md']
    assert options['resources'] == {'num_machines': 4, 'num_mpiprocs_per_machine': 2}
    assert ('model_devi.command: processes', 6) in [entry[:2] for entry in ledger.unmatched]
    found = read_machine({'fp': {**program, 'machine': {'batch_type': 'LSF'}}}, None, ledger)
    assert found.options['label']['resources'] == {'tot_num_mpiprocs': 4}
    assert ('fp.resources.cpu_per_node', 64) in [entry[:2] for entry in ledger.unmatched]
