"""Measurement of the programs of a computer, for `setup --threads N`: in threads or in processes, what is faster."""

from __future__ import annotations

import base64
import gzip
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiida_dpasse.base.protocols import expand_presets
from aiida_dpasse.cli.programs import Program, Shell, prepend_text
from aiida_dpasse.deepmd.engine import FROZEN, freeze_arguments, model_file
from aiida_dpasse.drivers.measure import ELEMENTS, MARK
from aiida_dpasse.drivers.package import pack_dp_plugin, pack_driver

#: Modules that the driver carries.
MODULES = (
    'deepmd.engine',
    'deepmd.frameset',
    'deepmd.training_log',
    'drivers.calculators',
    'drivers.job',
    'drivers.labellers',
    'labels.admission',
    'lammps.log',
    'lammps.speed',
    'lammps.watch',
    'quoting',
    'structures.distances',
    'unreadable',
)
#: Trainings whose models are measured, those of the quickstart; DeePMD-kit's name of the backend.
PRESETS = {'tensorflow': ('student-demo', 'tf'), 'pytorch': ('dpa2-demo', 'pt')}
#: Steps of a training: the first `disp_freq` are not timed.
STEPS, BLOCK = {'tensorflow': 60, 'pytorch': 16}, {'tensorflow': 20, 'pytorch': 4}
CALCULATORS = ('sevennet-l3i5', 'chgnet')
#: A way has to be faster than one core by this factor: otherwise the other cores do better with another job.
GAIN = 1.1

#: Programs that are measured.
MEASURED = ('dp', 'lmp', 'python')

Row = dict[str, Any]
#: Processes and threads by program and backend, or calculator.
Ways = dict[str, dict[str, dict[str, int]]]


class MeasurementError(RuntimeError):
    """Nothing was measured; the message is a sentence."""


def measure(programs: Iterable[Program], cores: int, mpirun: str, shell: Shell) -> list[Row]:
    """Measure programs on their computer, in a temporary folder there, for about a minute.

    :param programs: `dp`, `lmp` and `python` of one environment.
    :param cores: that a program may use.
    :param mpirun: command that starts processes of MPI, with the field ``processes``.
    :param shell: shell of the computer.
    :returns: rows of `drivers.measure`.
    :raises MeasurementError: if the driver did not run.
    """
    found = {program.name: program for program in programs}
    job = {
        'cores': cores,
        'mpirun': mpirun,
        'programs': {
            name: {'path': program.path, 'before': prepend_text(program, 1)} for name, program in found.items()
        },
        'inputs': {backend: training_input(backend) for backend in PRESETS},
        'plugins': {backend: _encoded(_freezing(backend)) for backend in PRESETS},
        'calculators': list(CALCULATORS),
    }
    files = {'measure.zip': pack_driver('measure', MODULES), 'job.json': json.dumps(job).encode()}
    lines = ['folder=$(mktemp -d) && cd "$folder" || exit 1', 'trap \'rm -rf "$folder"\' EXIT']
    # One argument of a command line has at most 128 KiB.
    packed = {name: _encoded(gzip.compress(content)) for name, content in files.items()}
    lines += [f"base64 -d <<'END' | gunzip > {name}\n{content}\nEND" for name, content in packed.items()]
    lines.append(f'{shlex.quote(found["python"].path)} measure.zip job.json')
    status, output, error = shell('\n'.join(lines))
    answers = [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
    if status or not answers:
        said = [line.strip() for line in (error or output).splitlines() if line.strip()]
        raise MeasurementError(f'The measurement failed ({said[-1] if said else f"exit status {status}"}).')
    return list(json.loads(answers[-1]))


def training_input(backend: str) -> dict[str, Any]:
    """Return the input of a training of seconds of a model of the quickstart.

    :param backend: 'tensorflow' or 'pytorch'.
    """
    content: dict[str, Any] = expand_presets({'preset': PRESETS[backend][0]})['input']
    content['model']['type_map'] = list(ELEMENTS)
    steps, block = STEPS[backend], BLOCK[backend]
    content['training'] |= {'numb_steps': steps, 'save_freq': steps, 'disp_freq': block, 'seed': 1}
    content['training']['training_data'] = {'systems': ['data'], 'batch_size': 1}
    return content


def _freezing(backend: str) -> bytes:
    output = model_file(backend, FROZEN, backend)
    step = {'arguments': freeze_arguments(backend, output), 'output': output, 'log': 'freeze.out'}
    return pack_dp_plugin(PRESETS[backend][1], [step])


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def choose(rows: Sequence[Row]) -> Ways:
    """Return the fastest way of each program and backend: ``processes`` and ``threads``.

    One core stays the choice unless another way is faster by `GAIN`.

    :param rows: of :func:`measure`.
    """
    ways: Ways = {}
    for program, backend in dict.fromkeys((row['program'], row['backend']) for row in rows):
        same = [row for row in rows if (row['program'], row['backend']) == (program, backend) and row['speed']]
        one = max((row['speed'] for row in same if row['processes'] * row['threads'] == 1), default=0.0)
        best = max(same, key=lambda row: row['speed'], default=None)
        if best is None or best['speed'] < GAIN * one:
            best = {'processes': 1, 'threads': 1}
        ways.setdefault(program, {})[backend] = {name: int(best[name]) for name in ('processes', 'threads')}
    return ways


def in_words(way: Mapping[str, int]) -> str:
    """Return a way in words: ``2 ranks``, ``2 threads`` or ``1 thread``."""
    if way['processes'] > 1:
        return f'{way["processes"]} ranks'
    return f'{way["threads"]} thread{"s" if way["threads"] > 1 else ""}'


def table(rows: Sequence[Row]) -> str:
    """Return the rows of a measurement as a table, the chosen ways marked.

    :param rows: of :func:`measure`.
    """
    from tabulate import tabulate

    ways = choose(rows)
    lines = []
    for row in rows:
        way = {name: row[name] for name in ('processes', 'threads')}
        chosen = 'used' if row['speed'] and ways[row['program']][row['backend']] == way else ''
        speed = f'{row["speed"]:.3g} {row["unit"]}' if row['speed'] else f'failed: {row["error"]}'
        lines.append((row['program'], row['backend'], in_words(way), speed, chosen))
    return tabulate(lines, headers=('program', 'model', 'run in', 'speed', ''), tablefmt='simple')
