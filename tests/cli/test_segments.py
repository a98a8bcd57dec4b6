"""Trajectories of the profile, by the PK of a node."""

from __future__ import annotations

import json

import numpy as np
import pytest
from aiida import orm
from aiida.common import LinkType
from click.testing import CliRunner
from walks import lattice_walk

from aiida_dpasse.cli.transport import transport

BOX, FRAMES, RATE, LENGTH = 20.0, 800, 0.2, 2.5
SYMBOLS = ['Li'] * 20 + ['S'] * 8
#: cm^2/s at 100 fs between frames.
TRUTH = RATE * LENGTH**2 / (6 * 0.1) * 1e-4


def write_dump(path, positions, gap, elements):
    """Write frames that are ``gap`` steps apart."""
    lines = []
    for index, points in enumerate(positions):
        lines += [f'ITEM: TIMESTEP\n{index * gap}\nITEM: NUMBER OF ATOMS\n{len(points)}\nITEM: BOX BOUNDS pp pp pp']
        lines += [f'0 {BOX}'] * 3 + [f'ITEM: ATOMS id {"element" if elements else "type"} xu yu zu']
        for number, (symbol, (x, y, z)) in enumerate(zip(SYMBOLS, points, strict=True), 1):
            lines.append(f'{number} {symbol if elements else 1 + (symbol == "S")} {x:.5f} {y:.5f} {z:.5f}')
    path.write_text('\n'.join(lines) + '\n')


@pytest.fixture(scope='module')
def dynamics(localhost, tmp_path_factory):
    """Return a calculation as `dpasse.md` leaves it: the folder holds samples and the last frame beside the dump."""
    rng = np.random.default_rng(1)
    places = rng.random((len(SYMBOLS), 3)) * BOX + rng.normal(scale=0.05, size=(FRAMES, len(SYMBOLS), 3))
    places[:, :20] += lattice_walk(rng, FRAMES, 20, RATE, LENGTH)
    folder = tmp_path_factory.mktemp('segment')
    write_dump(folder / 'trajectory.lammpstrj', places, 50, elements=False)
    write_dump(folder / 'samples.lammpstrj', places[::7], 350, elements=True)
    write_dump(folder / 'last.lammpstrj', places[-1:], 50, elements=True)
    structure = orm.StructureData(cell=np.eye(3) * BOX)
    for symbol, point in zip(SYMBOLS, places[0], strict=True):
        structure.append_atom(symbols=symbol, position=point)
    node = orm.CalcJobNode(computer=localhost, process_type='aiida.calculations:dpasse.md')
    for name, given in (('structure', structure), ('parameters', orm.Dict({'timestep': 2.0}))):
        node.base.links.add_incoming(given.store(), LinkType.INPUT_CALC, name)
    node.store()
    remote = orm.RemoteData(computer=localhost, remote_path=str(folder))
    remote.base.links.add_incoming(node, LinkType.CREATE, 'remote_folder')
    remote.store()
    return node


def check(tmp_path, *arguments):
    """The command gives the diffusivity of the walk."""
    target = tmp_path / 'a.json'
    command = [*map(str, arguments), '--ion', 'Li', '--temperature', '600', '--force', '--json', str(target)]
    result = CliRunner().invoke(transport, command)
    assert result.exit_code == 0, result.output
    numbers = json.loads(target.read_text())
    assert numbers['interval_ps'] == pytest.approx(0.1)
    assert numbers['frames'] == FRAMES
    assert abs(numbers['tracer_diffusivity_cm2_s'] - TRUTH) < 3.5 * numbers['tracer_diffusivity_cm2_s_error']


def test_the_dump_of_a_calculation_with_its_elements_and_time_step(tmp_path, dynamics):
    check(tmp_path, dynamics.pk)
    check(tmp_path, dynamics.outputs.remote_folder.pk)


def test_a_folder_without_dynamics_needs_the_elements_and_the_time_step(tmp_path, dynamics):
    folder = dynamics.outputs.remote_folder.get_remote_path()
    stored = orm.FolderData(tree=folder).store()
    for given in (stored.pk, folder):
        check(tmp_path, given, '--elements', 'Li S', '--timestep', '2')
    result = CliRunner().invoke(transport, [str(stored.pk), '--ion', 'Li', '--temperature', '600'])
    assert result.exit_code == 2


def test_nodes_without_a_trajectory_here_are_refused(aiida_profile, tmp_path, dynamics):
    cluster = orm.Computer(
        'far-away', 'cluster.example', transport_type='core.ssh', scheduler_type='core.slurm'
    ).store()
    away = orm.RemoteData(computer=cluster, remote_path='/scratch/run').store()
    gone = orm.RemoteData(computer=dynamics.computer, remote_path=str(tmp_path / 'gone')).store()
    for pk in (away.pk, gone.pk, dynamics.inputs.structure.pk, 10**9):
        result = CliRunner().invoke(transport, [str(pk), '--ion', 'Li', '--temperature', '600', '--timestep', '2'])
        assert result.exit_code == 2
        assert str(pk) in result.output
