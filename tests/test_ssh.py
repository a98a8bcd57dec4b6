"""The chain's jobs run on a second computer, reached through sshd on loopback."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiida import orm
from aiida.engine import CalcJob, run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase.build import bulk
from fixtures_models import training_input

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.calculations.label import LabelCalculation
from aiida_dpasse.calculations.md import MDCalculation
from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.cli.programs import Program, prepend_text
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.initial_data import InitialDataWorkChain

SSHD = shutil.which('sshd') or '/usr/sbin/sshd'


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


class Server:
    """A private sshd with its own port, keys and configuration, which can be away for a while."""

    def __init__(self, directory: Path) -> None:
        for name in ('host', 'user'):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', directory / name], check=True)
        (directory / 'authorized').write_text((directory / 'user.pub').read_text())
        Path('/run/sshd').mkdir(exist_ok=True)
        self.directory, self.port, self.key = directory, free_port(), directory / 'user'
        (directory / 'config').write_text(
            f'Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nPidFile {directory}/pid\n'
            f'AuthorizedKeysFile {directory}/authorized\nUsePAM no\nStrictModes no\nPasswordAuthentication no\n'
            'MaxStartups 100\nMaxSessions 100\nSubsystem sftp internal-sftp\n'
        )

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [SSHD, '-D', '-e', '-f', self.directory / 'config']
        with (self.directory / 'log').open('a') as log:
            self.process = psutil.Popen(command, stderr=log)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            time.sleep(0.1)

    def stop(self) -> None:
        """End it and all its connections."""
        for process in (*self.process.children(recursive=True), self.process):
            process.kill()
        self.process.wait(10)

    def away(self, seconds: float) -> threading.Timer:
        """Stop it, and start it again after a while."""
        self.stop()
        timer = threading.Timer(seconds, self.start)
        timer.start()
        return timer


@pytest.fixture(scope='session')
def sshd(tmp_path_factory) -> Iterator[Server]:
    """A running sshd on loopback."""
    assert Path(SSHD).exists(), 'sshd is missing: install the Debian package openssh-server.'
    server = Server(tmp_path_factory.mktemp('sshd'))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope='session')
def remote(aiida_profile, sshd, programs: dict[str, Program], tmp_path_factory) -> dict[str, orm.InstalledCode]:
    """The programs as codes of the computer behind sshd."""
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
        port=sshd.port,
        key_filename=str(sshd.key),
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


def test_a_chain_survives_that_ssh_is_away_after_its_submission(remote, sshd):
    """Its next steps submit child chains, which look for no executable; AiiDA repeats what needs the connection."""
    builder = InitialDataWorkChain.get_builder_from_protocol(
        remote,
        protocol='demo',
        structures={'copper': orm.StructureData(ase=bulk('Cu', cubic=True))},
        calculator=orm.Dict({'name': 'emt'}),
        overrides={
            'supercell': [1, 1, 1],
            'scales': [1.0],
            'dynamics': None,
            'perturbations': {'number': 3, 'displacement': 0.05, 'closest': 1.0},
            'label': {'max_force': 50.0},
        },
    )
    process = instantiate_process(get_manager().get_runner(), builder)
    began = time.monotonic()
    timer = sshd.away(20.0)
    _, node = run_get_node(process)
    timer.join()
    assert node.is_finished_ok, node.exit_message
    assert time.monotonic() - began > 20.0
    assert node.outputs.account['admitted'] == node.outputs.frames.frames == 3
    assert [child.process_state.value for child in node.called_descendants if not child.is_finished_ok] == []
    jobs = [child for child in node.called_descendants if isinstance(child, orm.CalcJobNode)]
    assert {job.computer.label for job in jobs} == {'behind-ssh'}


def run(process: type[CalcJob], **inputs: Any) -> orm.CalcJobNode:
    """Run a calculation and return its node, which ended well on the other computer."""
    _, node = run_get_node(process, **inputs)
    assert node.is_finished_ok, node.exit_message
    assert node.computer.label == 'behind-ssh'
    return node
