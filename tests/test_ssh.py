"""The chain's jobs run on a second computer, reached through sshd on loopback."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.engine import CalcJob, run_get_node
from fixtures_models import training_input

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.calculations.label import LabelCalculation
from aiida_dpasse.calculations.md import MDCalculation
from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.cli.programs import Program, prepend_text
from aiida_dpasse.data.frames import FramesData

SSHD = shutil.which('sshd') or '/usr/sbin/sshd'


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope='session')
def sshd(tmp_path_factory):
    """A private sshd with its own port, keys and configuration; yields (port, private key)."""
    assert Path(SSHD).exists(), 'sshd is missing: install the Debian package openssh-server.'
    directory = tmp_path_factory.mktemp('sshd')
    for name in ('host', 'user'):
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', directory / name], check=True)
    (directory / 'authorized').write_text((directory / 'user.pub').read_text())
    Path('/run/sshd').mkdir(exist_ok=True)
    port = free_port()
    (directory / 'config').write_text(
        f'Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nAuthorizedKeysFile {directory}/authorized\n'
        f'PidFile {directory}/pid\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n'
        'MaxStartups 100\nMaxSessions 100\n'
        'Subsystem sftp internal-sftp\n'
    )
    server = subprocess.Popen([SSHD, '-D', '-e', '-f', directory / 'config'], stderr=(directory / 'log').open('w'))
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) == 0:
                break
        time.sleep(0.1)
    yield port, directory / 'user'
    server.terminate()
    server.wait(10)


@pytest.fixture(scope='session')
def remote(aiida_profile, sshd, programs: dict[str, Program], tmp_path_factory) -> dict[str, orm.InstalledCode]:
    """The programs as codes of the computer behind sshd."""
    port, key = sshd
    computer = orm.Computer(
        label='behind-ssh',
        hostname='127.0.0.1',
        workdir=str(tmp_path_factory.mktemp('remote')),
        transport_type='core.ssh',
        scheduler_type='core.direct',
    ).store()
    computer.set_minimum_job_poll_interval(0.5)
    computer.configure(
        username=getpass.getuser(),
        port=port,
        key_filename=str(key),
        key_policy='AutoAddPolicy',
        look_for_keys=False,
        allow_agent=False,
        load_system_host_keys=False,
        safe_interval=0,
        use_login_shell=False,
    )
    return {
        name: orm.InstalledCode(
            computer=computer, filepath_executable=program.path, label=f'{name}', prepend_text=prepend_text(program, 1)
        ).store()
        for name, program in programs.items()
    }


@pytest.mark.slow
def test_every_program_runs_on_the_other_computer(remote, tiny_potentials, tiny_frames):
    """Train, evaluate, label, dynamics and transport come back from the other computer with their results."""
    frames = FramesData.from_sets([tiny_frames]).store()
    structure = frames.get_structure(0)
    trained = run(
        TrainCalculation,
        code=remote['dp'],
        training_data=frames,
        parameters=orm.Dict({'backend': 'tensorflow', 'input': training_input(seed=3, steps=10), 'compress': True}),
    )
    potential = trained.outputs.compressed
    labelled = run(
        LabelCalculation,
        code=remote['python'],
        frames=FramesData.from_sets([tiny_frames.with_labels()]),
        potential=potential,
        parameters=orm.Dict({'max_force': 100.0}),
    )
    account = labelled.outputs.account
    assert account['requested'] == account['admitted'] + len(account['rejected']) + len(account['failed']) == 8
    evaluated = run(
        EvaluateCalculation,
        code=remote['python'],
        potentials={'new': potential, **tiny_potentials},
        frames=labelled.outputs.frames,
        parameters=orm.Dict({}),
    )
    assert evaluated.outputs.results['new']['force_mae_meV_A'] < 1e-6
    dynamics = run(
        MDCalculation,
        code=remote['lmp'],
        structure=structure,
        potentials={'new': potential},
        parameters=orm.Dict({'ensemble': 'nvt', 'temperature': 300, 'steps': 100, 'seed': 1, 'trajectory_interval': 5}),
    )
    analysed = run(
        TransportCalculation,
        code=remote['python'],
        trajectories={'segment_00': dynamics.outputs.remote_folder},
        structure=structure,
        parameters=orm.Dict({'ion': 'Li', 'timestep': 1.0}),
    )
    assert analysed.outputs.results['ions'] == 6
    assert analysed.outputs.results['frames'] == 21


def run(process: type[CalcJob], **inputs: Any) -> orm.CalcJobNode:
    """Run a calculation and return its node, which ended well on the other computer."""
    _, node = run_get_node(process, **inputs)
    assert node.is_finished_ok, node.exit_message
    assert node.computer.label == 'behind-ssh'
    return node
