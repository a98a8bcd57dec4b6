"""DP-GEN's machines as scheduler options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiida_dpasse.dpgen.keys import Ledger
from aiida_dpasse.dpgen.machine import SCHEDULERS, read_machine, seconds
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
@pytest.mark.parametrize('command', ['mpirun -n 4 vasp_std', 'dp'])
def test_resources_are_those_of_the_scheduler(batch_type, command):
    """AiiDA's own scheduler takes them."""
    from aiida.plugins import SchedulerFactory

    content = {'fp': {'command': command, 'machine': {'batch_type': batch_type}, 'resources': {'cpu_per_node': 4}}}
    options, batch = read_machine(content, None, Ledger())
    assert batch is None
    resources = options['label']['resources']
    created = SchedulerFactory(SCHEDULERS[batch_type.lower()]).create_job_resource(**resources)
    assert created.get_tot_num_mpiprocs() == (4 if command != 'dp' or 'tot_num_mpiprocs' in resources else 1)


def test_passwords_and_lists_of_machines():
    """What may hold a password is not shown; of several machines the first is taken, as DP-GEN does."""
    content = json.loads(MACHINE.read_text())
    content = {'handlers': {'smtp': {'credentials': ['me', 'secret']}}, 'train': [content['train'], {}]}
    ledger = Ledger()
    options, batch = read_machine(content, None, ledger)
    assert (sorted(options), batch) == (['evaluate', 'train'], None)
    assert {'handlers', 'train[1:]', 'train.machine.remote_profile'} <= {entry.key for entry in ledger.unmatched}
    assert 'secret' not in describe(ledger.unmatched)


def test_other_schedulers():
    """A GPU of PBS, and a scheduler that AiiDA does not have, are reported; an array of SLURM is SLURM."""
    ledger = Ledger()
    for batch_type in ('PBS', 'Bohrium', 'SlurmJobArray'):
        machine, resources = {'batch_type': batch_type}, {'gpu_per_node': 2, 'group_size': 3}
        options, batch = read_machine({'fp': {'machine': machine, 'resources': resources}}, 'cp2k', ledger)
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
