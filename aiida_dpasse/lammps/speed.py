"""Speed of molecular dynamics: LAMMPS' loop time as common rates, and their dependence on the size of the cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiida_dpasse.lammps.watch import KEPT

#: Sizes whose speed differs by less than this fraction from that of the largest count as equally fast.
LEVEL = 0.1
#: Smallest ratio of the largest to the smallest of these sizes: similar sizes are always equally fast.
SPAN = 1.5
#: CPU use in per cent below which the processor was shared or waiting.
BUSY = 90.0
SECONDS_PER_DAY = 86400.0

#: File in which a job records its hardware, and the shell line that writes it; entries are omitted where the machine
#: lacks the program or file.
MACHINE_FILE = 'machine.txt'
MACHINE_COMMAND = (
    '{ echo "host: $(hostname)"; '
    "sed -n 's/^model name[^:]*/processor/p' /proc/cpuinfo | sort -u; "
    'nvidia-smi ${CUDA_VISIBLE_DEVICES:+-i "$CUDA_VISIBLE_DEVICES"} --query-gpu=name --format=csv,noheader'
    " | sed 's/^/card: /'; } "
    f'> {MACHINE_FILE} 2>/dev/null'
)


def katom_steps_per_s(atom_steps: float, seconds: float) -> float | None:
    """Return the speed in thousand atom steps per second, None if no time passed.

    :param atom_steps: atoms times steps.
    :param seconds: duration.
    """
    return atom_steps / seconds / 1000 if seconds > 0 else None


def rates(atoms: int, steps: int, seconds: float, timestep: float) -> dict[str, float]:
    """Return the speed of a run as ``katom_step_s``, ``steps_s``, ``ns_day`` and ``hours_million_steps``.

    :param atoms: number of atoms.
    :param steps: number of steps.
    :param seconds: duration of these steps in s.
    :param timestep: fs.
    """
    pace = steps / seconds
    return {
        'katom_step_s': atoms * pace / 1000,
        'steps_s': pace,
        'ns_day': 1e-6 * timestep * pace * SECONDS_PER_DAY,
        'hours_million_steps': 1e6 / pace / 3600,
    }


def production_loop(results: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the loop of the production of a run, None if the run did not finish or exceeded one of its limits.

    :param results: of `dpasse.md`, whose ``loops`` include that of the equilibration.
    """
    if results['verdict'] != KEPT:
        return None
    start, steps = results['production_start'], results['steps'] - results['production_start']
    for loop in reversed(results.get('loops', [])):
        if loop['first_step'] == start and loop['steps'] == steps and loop['seconds'] > 0:
            return dict(loop)
    return None


def why_no_speed(results: Mapping[str, Any] | None, errors: str) -> str:
    """Return the reason why a run gave no speed.

    :param results: of `dpasse.md`, None if there are none.
    :param errors: standard error of the job, the only place where a job killed for its memory use leaves a trace.
    """
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    last = f': {lines[-1]}' if lines else ''
    if results is None:
        return f'the job left no results{last or ": see its exit code"}'
    if results.get('error') is not None:
        return f'LAMMPS stopped with an error ({results["error"]})'
    at = f'step {results["step"]} of {results["steps"]}'
    if results['reason'] is not None:
        return f'it {results["verdict"]} at {at} ({results["reason"]})'
    if results.get('timed_out'):
        return f'its time was over at {at}: give more `max_wallclock_seconds`, or fewer `steps`'
    return f'it ended at {at}{last}'


def power_law(atoms: Sequence[float], seconds: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the exponent b of seconds ~ atoms^b and its standard error.

    A least-squares line through the logarithms, with equal relative errors. The exponent needs two different sizes, its
    error three points; otherwise they are None.

    :param atoms: (n,) numbers of atoms.
    :param seconds: (n,) durations.
    """
    x, y = np.log(np.asarray(atoms, dtype=float)), np.log(np.asarray(seconds, dtype=float))
    if len(set(atoms)) < 2:
        return None, None
    places = x - x.mean()
    square = float(places @ places)
    exponent = float(places @ y) / square
    if len(x) < 3:
        return exponent, None
    rest = y - y.mean() - exponent * places
    return exponent, float(np.sqrt(rest @ rest / (len(x) - 2) / square))


def saturation(atoms: Sequence[int], speeds: Sequence[float]) -> dict[str, Any]:
    """Return the speed in the limit of large cells: the mean over the largest sizes, if they are equally fast.

    :param atoms: (n,) numbers of atoms.
    :param speeds: (n,) thousand atom steps per second.
    :returns: ``saturated_katom_step_s`` and its standard error ``saturated_error``, None if the speed still changes;
        ``from_atoms``, the smallest size included; and the ``reason``.
    """
    order = np.argsort(atoms, kind='stable')
    sizes, values = [int(atoms[i]) for i in order], [float(speeds[i]) for i in order]
    nothing = {'saturated_katom_step_s': None, 'saturated_error': None, 'from_atoms': None}
    if not sizes:
        return {**nothing, 'reason': 'no size was measured'}
    level = [abs(value / values[-1] - 1) < LEVEL for value in values]
    first = len(sizes) - next((i for i, same in enumerate(reversed(level)) if not same), len(sizes))
    if sizes[-1] < SPAN * sizes[first]:
        if first == 0:
            return {**nothing, 'reason': f'{sizes[0]} to {sizes[-1]} atoms are too similar: add larger cells'}
        change = values[-1] / values[first - 1] - 1
        return {
            **nothing,
            'reason': f'the speed still changes by {change:+.0%} from {sizes[first - 1]} to {sizes[-1]} atoms: ask for '
            'larger cells',
        }
    chosen = np.array(values[first:])
    return {
        'saturated_katom_step_s': float(chosen.mean()),
        'saturated_error': float(chosen.std(ddof=1) / np.sqrt(len(chosen))),
        'from_atoms': sizes[first],
        'reason': f'equally fast within {LEVEL:.0%} from {sizes[first]} to {sizes[-1]} atoms',
    }


def read_machine(text: str) -> dict[str, str | None]:
    """Return ``host``, ``processor`` and ``card`` from the output of `MACHINE_COMMAND`; equal cards are counted.

    :param text: content of `MACHINE_FILE`.
    """
    found: dict[str, list[str]] = {'host': [], 'processor': [], 'card': []}
    for line in text.splitlines():
        name, _, value = line.partition(':')
        if name.strip() in found and value.strip():
            found[name.strip()].append(' '.join(value.split()))
    return {name: _counted(values) for name, values in found.items()}


def _counted(values: Sequence[str]) -> str | None:
    kinds = [(values.count(value), value) for value in dict.fromkeys(values)]
    return ', '.join(value if count == 1 else f'{count} x {value}' for count, value in kinds) or None
