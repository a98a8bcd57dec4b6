"""Transport jobs on trajectories that lie on the machine."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.lammps.script import TRAJECTORY_FILE

EXIT = TransportCalculation.exit_codes
PARAMETERS = {'ion': 'Li', 'timestep': 2.0}


@pytest.fixture(scope='module')
def structure(aiida_profile) -> orm.StructureData:
    """A sulphur and two lithium atoms in a cube of 6 A."""
    found = orm.StructureData(cell=(6 * np.eye(3)).tolist())
    for symbol in ('Li', 'S', 'Li'):
        found.append_atom(symbols=symbol, position=(0, 0, 0))
    return found.store()


def segment(directory, computer, steps, atoms=3) -> orm.RemoteData:
    """Return a working directory with a trajectory in which the first ion moves 0.1 A along x with every step."""
    directory.mkdir()
    text = ''
    for step in steps:
        text += f'ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{atoms}\nITEM: BOX BOUNDS pp pp pp\n'
        text += '0.0 6.0\n' * 3 + 'ITEM: ATOMS id type xu yu zu\n'
        text += f'1 1 {0.1 * step:.6f} 0 0\n'
        text += ''.join(f'{index} 2 {index}.0 2.0 3.0\n' for index in range(2, atoms + 1))
    (directory / TRAJECTORY_FILE).write_text(text)
    return orm.RemoteData(computer=computer, remote_path=str(directory)).store()


def test_segments_are_read_where_they_lie(tmp_path, localhost, python_code, structure):
    trajectories = {
        'segment_00': segment(tmp_path / 'a', localhost, range(0, 12)),
        'segment_01': segment(tmp_path / 'b', localhost, range(10, 20)),
    }
    outputs, node = run_get_node(
        TransportCalculation,
        code=python_code,
        trajectories=trajectories,
        structure=structure,
        parameters=orm.Dict(PARAMETERS),
    )
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert (results['frames'], results['ions'], results['interval_ps']) == (20, 2, 0.002)
    assert results['volume_A3'] == pytest.approx(216)
    lag = np.arange(11)
    np.testing.assert_allclose(outputs['statistics'].get_array('lag_ps'), 0.002 * lag)
    expected = np.stack([0.01 * lag**2 / 2, 0 * lag, 0 * lag], axis=1)
    np.testing.assert_allclose(outputs['statistics'].get_array('msd_A2'), expected, atol=1e-9)
    # Nothing of the trajectory came home, nor was it copied.
    assert sorted(node.outputs.retrieved.list_object_names()) == [
        '_scheduler-stderr.txt',
        '_scheduler-stdout.txt',
        'driver.out',
        'output',
        'output.json',
    ]


@pytest.mark.parametrize(
    ('steps', 'message'),
    [
        ([], 'The trajectory holds 0 whole frames'),
        ([*range(10), *range(12, 22)], 'The frames are 1 to 3 steps apart'),
    ],
)
def test_a_trajectory_that_cannot_be_analysed(tmp_path, localhost, python_code, structure, steps, message):
    trajectories = {'segment_00': segment(tmp_path / 'a', localhost, steps)}
    inputs = {'code': python_code, 'structure': structure, 'parameters': orm.Dict(PARAMETERS)}
    _, node = run_get_node(TransportCalculation, trajectories=trajectories, **inputs)
    assert node.exit_status == EXIT.ERROR_TRAJECTORY.status
    assert message in node.exit_message


def test_frames_that_have_to_be_there_are_counted(tmp_path, localhost, python_code, structure):
    """Nine of forty-one, as a full disk leaves them: the statistics of what is left would be accepted."""
    trajectories = {'segment_00': segment(tmp_path / 'a', localhost, range(100, 109))}
    due = {'trajectory_interval': 1, 'first_step': 100, 'last_step': 140}
    inputs = {'code': python_code, 'structure': structure, 'parameters': orm.Dict(PARAMETERS | due)}
    _, node = run_get_node(TransportCalculation, trajectories=trajectories, **inputs)
    assert node.exit_status == EXIT.ERROR_DAMAGED_OUTPUT.status
    assert '9 of 41 frames' in node.exit_message
    assert '100 to 140' in node.exit_message
    whole = {'segment_00': segment(tmp_path / 'b', localhost, range(100, 141))}
    _, node = run_get_node(TransportCalculation, trajectories=whole, **inputs)
    assert node.is_finished_ok, node.exit_message
    with pytest.raises(ValueError, match='`last_step`'):
        run_get_node(
            TransportCalculation,
            trajectories=whole,
            **inputs | {'parameters': orm.Dict(PARAMETERS | {'trajectory_interval': 1})},
        )


def test_another_structure_than_was_simulated(tmp_path, localhost, python_code, structure):
    trajectories = {'segment_00': segment(tmp_path / 'a', localhost, range(9), atoms=5)}
    inputs = {'code': python_code, 'structure': structure, 'parameters': orm.Dict(PARAMETERS)}
    _, node = run_get_node(TransportCalculation, trajectories=trajectories, **inputs)
    assert node.exit_status == EXIT.ERROR_TRAJECTORY.status
    assert '5 atoms' in node.exit_message


def test_bad_inputs_are_refused(tmp_path, localhost, python_code, structure, aiida_computer_local):
    here = segment(tmp_path / 'a', localhost, range(9))
    elsewhere = segment(tmp_path / 'b', aiida_computer_local(label='elsewhere'), range(9))
    good = {
        'code': python_code,
        'structure': structure,
        'parameters': orm.Dict(PARAMETERS),
        'trajectories': {'segment_00': here},
    }
    for changes, message in (
        ({'parameters': orm.Dict({'ion': 'Na', 'timestep': 2.0})}, 'the `ion` Na is not in'),
        ({'parameters': orm.Dict({'ion': 'Li', 'timestep': 0})}, '`timestep` should be greater than 0'),
        ({'trajectories': {'segment_00': elsewhere}}, 'on elsewhere'),
        ({'trajectories': {}}, 'trajectories: none'),
    ):
        with pytest.raises(ValueError, match=message):
            run_get_node(TransportCalculation, **{**good, **changes})
