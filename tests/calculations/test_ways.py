"""Processes and threads of a job, as they were measured for its code."""

from __future__ import annotations

from functools import cache

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.assess.benchmark import BenchmarkWorkChain
from aiida_dpasse.calculations.ways import WAYS_EXTRA, backend_of, options_in_its_way
from aiida_dpasse.cli.programs import prepend_text
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.dynamics.md import MDBaseWorkChain
from aiida_dpasse.train.train import TrainBaseWorkChain

WAYS = {'tensorflow': {'processes': 2, 'threads': 1}, 'pytorch': {'processes': 1, 'threads': 2}}
RANKS = {'withmpi': True, 'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 2}}


@pytest.fixture(scope='module')
def measured(localhost, programs):
    """Return a maker of a code whose ways were measured; a name on a computer is that of one code."""

    @cache
    def make(name: str) -> orm.InstalledCode:
        code = orm.InstalledCode(
            computer=localhost,
            filepath_executable=programs[name].path,
            label=f'{name}-measured',
            prepend_text=prepend_text(programs[name], 1),
        ).store()
        code.base.extras.set(WAYS_EXTRA, {'cores': 2, 'ways': WAYS, 'measured': []})
        return code

    return make


@pytest.fixture
def torch_potential(aiida_profile, tiny_torch_model) -> DeepPotentialData:
    return DeepPotentialData.from_file(tiny_torch_model).store()


def test_options_of_a_job(measured, lmp_code):
    """The way of the backend, unless the user has set the processes; nothing for a code that was not measured."""
    code = measured('lmp')
    assert options_in_its_way({'max_wallclock_seconds': 9}, code, 'tensorflow') == {'max_wallclock_seconds': 9, **RANKS}
    for given in ({'withmpi': False}, {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 4}}):
        assert all(options_in_its_way(given, code, backend) == given for backend in WAYS)
    threaded = options_in_its_way({'prepend_text': 'module load x'}, code, 'pytorch')
    assert set(threaded) == {'prepend_text', 'resources'}
    one = {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 2}
    assert threaded['resources'] == one
    lines = threaded['prepend_text'].splitlines()
    assert lines[0] == 'export OMP_NUM_THREADS=2'
    assert lines[-1] == 'module load x'
    assert options_in_its_way({}, code, '') == options_in_its_way({}, lmp_code, 'tensorflow') == {}


def test_of_two_backends_the_slower_counts(tiny_potential, torch_potential):
    assert backend_of({'a': tiny_potential}) == 'tensorflow'
    assert backend_of({'a': tiny_potential, 'b': torch_potential}) == 'pytorch'


def test_builders_take_the_way(measured, crystal, tiny_potential, copper_frames, tiny_training):
    """Those of a dynamics and of a training; a training in several processes has the cores already."""
    builder = MDBaseWorkChain.get_builder_from_protocol(measured('lmp'), crystal, {'x': tiny_potential})
    options = dict(builder.md.metadata.options)
    assert {name: options[name] for name in RANKS} == RANKS
    builder = TrainBaseWorkChain.get_builder_from_protocol(measured('dp'), copper_frames, overrides={})
    assert 'OMP_NUM_THREADS=2' in builder.train.metadata.options.prepend_text
    builder = TrainBaseWorkChain.get_builder_from_protocol(
        measured('dp'), copper_frames, overrides={'processes': 4, 'mixed': False}
    )
    assert 'prepend_text' not in dict(builder.train.metadata.options)


def test_a_chain_runs_two_ranks_and_two_threads(measured, crystal, tiny_potential, torch_potential):
    """One LAMMPS, a student of TensorFlow in two ranks and a teacher of PyTorch in two threads."""
    parameters = {'ensemble': 'nvt', 'temperature': 300, 'timestep': 1.0, 'warm_up_steps': 2, 'steps': 10, 'seed': 1}
    _, node = run_get_node(
        BenchmarkWorkChain,
        codes={'lmp': measured('lmp')},
        structure=crystal,
        potentials={'student': tiny_potential, 'teacher': torch_potential},
        parameters=orm.Dict({**parameters, 'atoms': [24]}),
    )
    assert node.is_finished_ok, node.exit_message
    rows = {row['potential']: (row['processes'], row['threads']) for row in node.outputs.speed['rows']}
    assert rows == {'student': (2, 1), 'teacher': (1, 2)}
    jobs = [job for job in node.called_descendants if isinstance(job, orm.CalcJobNode)]
    outputs = {job.inputs.potentials__student.pk if 'potentials__student' in job.inputs else 0: job for job in jobs}
    printed = {
        key == tiny_potential.pk: job.outputs.retrieved.get_object_content('lammps.out') for key, job in outputs.items()
    }
    assert '1 by 1 by 2 MPI processor grid' in printed[True]
    assert 'using 1 OpenMP thread(s) per MPI task' in printed[True]
    assert '1 by 1 by 1 MPI processor grid' in printed[False]
    assert 'using 2 OpenMP thread(s) per MPI task' in printed[False]
