"""Measure how fast the programs of a machine are in one thread, in several threads, and in several processes.

Usage: ``python dpasse_measure.zip job.json``; the result is the last line of the output. The models are made here, by
short trainings of real inputs on made-up frames: the speed of a model does not depend on what it has learnt.

The job file holds ``cores``, the ``programs`` by name (``path``, and the shell lines ``before`` it), ``mpirun`` (with
the field ``processes``), the training ``inputs`` by backend, ``plugins`` that freeze in the process of a training
(`deepmd.dp_plugin`), base64, and ``calculators``, of which the first that is installed is measured.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aiida_dpasse.deepmd.engine import FROZEN, freeze_arguments, lammps_commands, model_file, thread_lines
from aiida_dpasse.deepmd.engine import train_arguments as train
from aiida_dpasse.deepmd.training_log import parse_training_log
from aiida_dpasse.drivers.job import read_job
from aiida_dpasse.lammps.log import parse_log

#: Begins the line with the result.
MARK = 'aiida-dpasse:'
#: Made-up crystal of Li, S and Cl in the rock salt structure, A.
ELEMENTS, LENGTH = ('Li', 'S', 'Cl'), 5.2
#: Atoms of the frames that are learnt and labelled, and for each core of the cell that LAMMPS runs.
FRAME_ATOMS, ATOMS_PER_CORE = 64, 108
#: Largest number of atoms in LAMMPS: a step of more takes long, and the ratios no longer change.
MOST_ATOMS = 1728
#: Atom-steps that LAMMPS is timed for, by backend, after a tenth as many.
ATOM_STEPS = {'tensorflow': 20000, 'pytorch': 5000}
#: Seconds in which the labels are timed, and the longest that a program may run.
LABEL_TIME, LIMIT = 1.0, 300
#: Potential energies of one cell may differ by this, relatively, between numbers of processes.
SAME_ENERGY = 1e-5


class FailedError(RuntimeError):
    """A program failed; the message is the last line of its output."""


def crystal(repeats: tuple[int, int, int], seed: int = 0) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return types, lengths of the cell in A and positions in A of a rattled crystal.

    :param repeats: cubic cells of eight atoms along each axis.
    :param seed: of the rattling.
    """
    cell = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)]) / 2
    places = np.array([[i, j, k] for i in range(repeats[0]) for j in range(repeats[1]) for k in range(repeats[2])])
    positions = ((places[:, None] + cell) * LENGTH).reshape(-1, 3)
    parity = (np.rint(positions / (LENGTH / 2)).astype(int).sum(axis=1)) % 2
    anions = np.cumsum(parity) % 2
    types = np.where(parity == 0, 0, 1 + anions)
    rattled = positions + np.random.default_rng(seed).normal(0, 0.1, positions.shape)
    order = np.argsort(types, kind='stable')
    return types[order].tolist(), np.array(repeats) * LENGTH, rattled[order]


def repeats_of(atoms: int) -> tuple[int, int, int]:
    """Return the repeats of the cubic cell that give at least ``atoms``, as equal as possible."""
    repeats = [2, 2, 2]
    while 8 * np.prod(repeats) < atoms:
        repeats[int(np.argmin(repeats))] += 1
    return repeats[0], repeats[1], repeats[2]


class Measurement:
    """One measurement in the current directory; see the module for the job."""

    def __init__(self, job: dict[str, Any]):
        self.job = job
        self.rows: list[dict[str, Any]] = []

    def run(self) -> list[dict[str, Any]]:
        """Return one row a program, backend, number of processes and number of threads."""
        write_frames(Path('data'))
        for backend, content in self.job['inputs'].items():
            if model := self.train(backend, content):
                self.simulate(backend, model)
        self.label()
        return self.rows

    def add(
        self, program: str, backend: str, processes: int, threads: int, unit: str, measure: Callable[[], float]
    ) -> bool:
        """Add the row of one way to run a program, with its speed or its error, and return whether it ran."""
        row = {'program': program, 'backend': backend, 'processes': processes, 'threads': threads, 'unit': unit}
        try:
            self.rows.append({**row, 'speed': measure(), 'error': None})
        except (FailedError, OSError) as error:
            self.rows.append({**row, 'speed': None, 'error': str(error)[:300]})
        return self.rows[-1]['error'] is None

    def call(self, program: str, arguments: list[str], threads: int, processes: int = 1, before: str = '') -> str:
        """Run a program as a job does, and return its output, both streams."""
        code = self.job['programs'][program]
        words = self.job['mpirun'].replace('{processes}', str(processes)).split() if processes > 1 else []
        lines = [code['before'], *thread_lines(threads), before, 'exec "$@"']
        command = ['bash', '-c', '\n'.join(lines), program, *words, code['path'], *arguments]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise FailedError(f'{program} took more than {LIMIT} s') from error
        output = done.stdout.decode(errors='replace')
        if done.returncode:
            lines = [line.strip() for line in output.splitlines() if line.strip()]
            said = next((line for line in lines if line.startswith('ERROR')), lines[-1] if lines else 'no output')
            raise FailedError(f'{program} ended with exit status {done.returncode}: {said}')
        return output

    def train(self, backend: str, content: dict[str, Any]) -> str | None:
        """Time a training in each number of threads, and return the frozen model of the first, None if it failed."""
        Path('input.json').write_text(json.dumps(content))
        plugin, frozen = f'{backend}.zip', model_file(backend, FROZEN, backend)
        Path(plugin).write_bytes(base64.b64decode(self.job['plugins'][backend]))

        def pace(threads: int) -> float:
            before = '' if Path(frozen).exists() else f'export PYTHONPATH={plugin}"${{PYTHONPATH:+:$PYTHONPATH}}"'
            log = parse_training_log(self.call('dp', train(backend, 'input.json'), threads, before=before))
            if not log.seconds_per_step:
                raise FailedError('dp printed no time of a step')
            if not Path(frozen).exists():
                self.call('dp', freeze_arguments(backend, frozen), 1)
            return 1 / log.seconds_per_step

        for threads in self.thread_counts:
            if not self.add('dp', backend, 1, threads, 'step/s', partial(pace, threads)):
                break
        return frozen if Path(frozen).exists() else None

    @property
    def thread_counts(self) -> list[int]:
        """One thread, and one a core."""
        return list(dict.fromkeys((1, self.job['cores'])))

    def simulate(self, backend: str, model: str) -> None:
        """Time LAMMPS with one process, with one of many threads, and with many of one thread."""
        cores = self.job['cores']
        types, lengths, positions = crystal(repeats_of(min(ATOMS_PER_CORE * cores, MOST_ATOMS)))
        atoms = '\n'.join(
            f'{index} {kind + 1} {x:.6f} {y:.6f} {z:.6f}'
            for index, (kind, (x, y, z)) in enumerate(zip(types, positions, strict=True), start=1)
        )
        box = '\n'.join(f'0 {length} {axis}lo {axis}hi' for axis, length in zip('xyz', lengths, strict=True))
        head = f'made up\n\n{len(types)} atoms\n{len(ELEMENTS)} atom types\n\n{box}\n'
        Path('cell.data').write_text(f'{head}\nAtoms # atomic\n\n{atoms}\n')
        steps = max(20, ATOM_STEPS[backend] // len(types))
        script = [
            'units metal\natom_style atomic\nread_data cell.data',
            *(f'mass {index} 30' for index in range(1, len(ELEMENTS) + 1)),
            *lammps_commands([model], ELEMENTS, deviation_file='', deviation_interval=1),
            'thermo_style custom step pe\nthermo 100000\ntimestep 0.0001\nfix move all nve',
            f'run {max(steps // 10, 5)}\nrun {steps}',
        ]
        Path('in.lmp').write_text('\n'.join(script) + '\n')
        energies: list[float] = []

        def pace(processes: int, threads: int) -> float:
            log = parse_log(self.call('lmp', ['-in', 'in.lmp', '-log', 'none'], threads, processes))
            loop = log.loops[-1] if log.loops else None
            if loop is None or loop.seconds <= 0:
                raise FailedError('LAMMPS printed no time of its steps')
            if loop.processes != processes:
                raise FailedError(
                    f'LAMMPS ran in {loop.processes} process instead of {processes}: mpirun is of another MPI'
                )
            energies.append(float(log.thermo['potential_energy_eV'][0]))
            if abs(energies[-1] - energies[0]) > SAME_ENERGY * max(abs(energies[0]), 1.0):
                raise FailedError(f'the energy is {energies[-1]:.6g} eV instead of {energies[0]:.6g}')
            return loop.atoms * loop.steps / loop.seconds / 1000

        for processes, threads in dict.fromkeys([(1, 1), (1, cores), (cores, 1)]):
            self.add('lmp', backend, processes, threads, 'katom-step/s', partial(pace, processes, threads))

    def label(self) -> None:
        """Time the labels of the first calculator that is installed, in each number of threads in one process."""
        program = f'from aiida_dpasse.drivers.measure import label_speeds; label_speeds({self.job["calculators"]!r}, '
        archive = Path(sys.argv[0]).resolve()
        before = f'export PYTHONPATH={archive}"${{PYTHONPATH:+:$PYTHONPATH}}"'
        counts = self.thread_counts
        try:
            output = self.call('python', ['-c', f'{program}{counts!r})'], counts[-1], before=before)
            found = next(json.loads(line.removeprefix(MARK)) for line in output.splitlines() if line.startswith(MARK))
        except (FailedError, OSError, StopIteration) as error:
            found = {'calculator': '', 'speeds': {}, 'error': str(error) or 'the driver printed no result'}
        if found['calculator'] is None:
            return
        for threads in counts:
            speed = found['speeds'].get(str(threads))
            row = {'program': 'python', 'backend': found['calculator'], 'processes': 1, 'threads': threads}
            self.rows.append({**row, 'unit': 'label/s', 'speed': speed, 'error': found.get('error')})


def label_speeds(calculators: list[str], counts: list[int]) -> None:
    """Print how many frames a second the first calculator that is installed labels, by the number of threads.

    :param calculators: names of `drivers.calculators.KNOWN`.
    :param counts: numbers of threads of PyTorch.
    """
    from ase import Atoms

    from aiida_dpasse.drivers.labellers import make_calculator

    for name in calculators:
        try:
            calculator = make_calculator(name)
            break
        except ImportError:
            continue
    else:
        print(MARK + json.dumps({'calculator': None}))
        return
    import torch

    types, lengths, positions = crystal(repeats_of(FRAME_ATOMS))
    atoms = Atoms(
        [ELEMENTS[kind] for kind in types], positions=positions, cell=lengths, pbc=True, calculator=calculator
    )
    speeds = {}
    for threads in counts:
        torch.set_num_threads(threads)
        number, start = -1, 0.0
        while number < 1 or time.perf_counter() - start < LABEL_TIME:
            if number == 0:
                start = time.perf_counter()  # the first label is warm-up
            atoms.rattle(0.001, seed=number + 1)
            atoms.get_forces()
            number += 1
        speeds[threads] = number / (time.perf_counter() - start)
    print(MARK + json.dumps({'calculator': name, 'speeds': speeds}))


def write_frames(folder: Path, frames: int = 4) -> None:
    """Write labelled frames of the made-up crystal in DeePMD-kit's layout.

    :param folder: of the system.
    :param frames: their number.
    """
    types, lengths, _ = crystal(repeats_of(FRAME_ATOMS))
    rng = np.random.default_rng(1)
    sets = folder / 'set.000'
    sets.mkdir(parents=True)
    positions = np.array([crystal(repeats_of(FRAME_ATOMS), seed)[2] for seed in range(frames)])
    (folder / 'type.raw').write_text('\n'.join(map(str, types)) + '\n')
    (folder / 'type_map.raw').write_text('\n'.join(ELEMENTS) + '\n')
    np.save(sets / 'coord.npy', positions.reshape(frames, -1))
    np.save(sets / 'box.npy', np.tile(np.diag(lengths).ravel(), (frames, 1)))
    np.save(sets / 'energy.npy', rng.normal(size=(frames, 1)))
    np.save(sets / 'force.npy', rng.normal(size=(frames, positions[0].size)))
    np.save(sets / 'virial.npy', rng.normal(size=(frames, 9)))


def main(arguments: list[str]) -> int:
    """Measure, and print the rows in the last line."""
    print(MARK + json.dumps(Measurement(read_job(arguments)).run()))
    return 0
