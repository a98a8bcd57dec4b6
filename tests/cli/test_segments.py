"""Trajectories of the profile, by the PK of a node."""

from __future__ import annotations

import json

import pytest
from aiida import orm
from aiida.common import LinkType
from click.testing import CliRunner
from test_transport import check, run, walk, write_dump

from aiida_dpasse.cli.transport import transport


@pytest.fixture(scope='module')
def dynamics(localhost, tmp_path_factory):
    """Return a calculation as `dpasse.md` leaves it: the folder holds samples and the last frame beside the dump."""
    positions, symbols = walk()
    folder = tmp_path_factory.mktemp('segment')
    write_dump(folder / 'trajectory.lammpstrj', positions, symbols, elements=False)
    write_dump(folder / 'samples.lammpstrj', positions[::7], symbols, gap=350)
    write_dump(folder / 'last.lammpstrj', positions[-1:], symbols)
    structure = orm.StructureData(cell=[[20.0, 0, 0], [0, 20.0, 0], [0, 0, 20.0]])
    for symbol, point in zip(symbols, positions[0], strict=True):
        structure.append_atom(symbols=symbol, position=point)
    node = orm.CalcJobNode(computer=localhost, process_type='aiida.calculations:dpasse.md')
    for name, given in (('structure', structure), ('parameters', orm.Dict({'timestep': 2.0}))):
        node.base.links.add_incoming(given.store(), LinkType.INPUT_CALC, name)
    node.store()
    remote = orm.RemoteData(computer=localhost, remote_path=str(folder))
    remote.base.links.add_incoming(node, LinkType.CREATE, 'remote_folder')
    remote.store()
    return node


def test_the_dump_of_a_calculation_with_its_elements_and_time_step(tmp_path, dynamics):
    target = tmp_path / 'a.json'
    for pk in (dynamics.pk, dynamics.outputs.remote_folder.pk):
        arguments = [str(pk), '--ion', 'Li', '--temperature', '600', '--json', str(target)]
        result = CliRunner().invoke(transport, arguments)
        assert result.exit_code == 0, result.output
        numbers = json.loads(target.read_text())
        assert numbers['interval_ps'] == pytest.approx(0.1)
        check(numbers)


def test_the_files_of_a_folder_of_the_profile(tmp_path, dynamics):
    stored = orm.FolderData(tree=dynamics.outputs.remote_folder.get_remote_path()).store()
    numbers, _ = run(tmp_path, stored.pk, '--elements', 'Li S', timestep=2.0)
    check(numbers)


def test_a_folder_of_the_disk_is_read_alike(tmp_path, dynamics):
    folder = dynamics.outputs.remote_folder.get_remote_path()
    numbers, _ = run(tmp_path, folder, '--elements', 'Li S', timestep=2.0)
    check(numbers)


def test_nodes_without_a_trajectory_here_are_refused(aiida_profile, tmp_path, dynamics):
    cluster = orm.Computer('cluster', 'cluster.example', transport_type='core.ssh', scheduler_type='core.slurm').store()
    away = orm.RemoteData(computer=cluster, remote_path='/scratch/run').store()
    gone = orm.RemoteData(computer=dynamics.computer, remote_path=str(tmp_path / 'gone')).store()
    for pk in (away.pk, gone.pk, dynamics.inputs.structure.pk, 10**9):
        result = CliRunner().invoke(transport, [str(pk), '--ion', 'Li', '--temperature', '600', '--timestep', '2'])
        assert result.exit_code == 2
        assert str(pk) in result.output
