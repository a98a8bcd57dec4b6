"""Reasons for stopping molecular dynamics early: verdict, message and exit code of each limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from aiida.engine import ProcessSpec
from numpy.typing import NDArray

from aiida_dpasse.exit_codes import STATUSES, exit_code
from aiida_dpasse.lammps.deviation import left_trust
from aiida_dpasse.lammps.log import Log
from aiida_dpasse.lammps.script import total_steps
from aiida_dpasse.lammps.watch import DRIFT, EXPLOSION, HEATING, LOSS, MELTING, hottest

#: This limit is monitored by the engine, since LAMMPS has no access to the deviation that its pair style computes.
DEVIATION = 'deviation'


class Stop(NamedTuple):
    """Exit code label, verdict and message of a limit."""

    label: str
    verdict: str
    message: str

    @property
    def status(self) -> int:
        """Number of the exit code."""
        return STATUSES[self.label]


STOPS = {
    EXPLOSION: Stop(
        'ERROR_EXPLODED',
        'exploded',
        'The run became unstable after step {step} ({reason}): shorten the timestep, lower the temperature, or train '
        'the potential on such configurations. The frames before it are attached.',
    ),
    MELTING: Stop(
        'ERROR_MELTED',
        'melted',
        'The framework melted by step {step} ({reason}): lower the temperature, or train the potential on such '
        'configurations. The frames before it are attached.',
    ),
    DEVIATION: Stop(
        'ERROR_LEFT_TRUST',
        "left the committee's trust",
        'The deviation of the committee exceeded its limit at step {step} ({reason}): label the candidates and train '
        'on them, or lower the temperature.',
    ),
    HEATING: Stop(
        'ERROR_HEATED',
        'heated up',
        'The temperature exceeded its limit by step {step} ({reason}): shorten the timestep, or train the potential '
        'further.',
    ),
    DRIFT: Stop(
        'ERROR_ENERGY_DRIFT',
        'energy drifts',
        'The drift of the conserved energy exceeded its limit by step {step} ({reason}): shorten the timestep, or use '
        'a smoother potential.',
    ),
}
STOPS[LOSS] = STOPS[EXPLOSION]
#: The stops by the label of the exit code.
BY_LABEL = {stop.label: stop for stop in STOPS.values()}


def define_stops(spec: ProcessSpec) -> None:
    """Define the exit codes of all limits."""
    for stop in BY_LABEL.values():
        exit_code(spec, stop.label, message=stop.message)


def find_stop(
    log: Log, deviation: dict[str, NDArray[np.float64]], parameters: Mapping[str, Any], step: int
) -> tuple[Stop, int, str] | None:
    """Return the first limit that a run exceeded, or None.

    :param log: parsed log of LAMMPS.
    :param deviation: table of the committee deviation, empty arrays without a committee.
    :param parameters: complete parameters of `dpasse.md`.
    :param step: last completed step.
    :return: the limit, the step at which it was exceeded, and a description of the value found.
    """
    if log.exploded and log.stopped_by is None:
        return STOPS[EXPLOSION], step, log.error or 'a quantity is not a number'
    if log.stopped_by is not None and log.stopped_by[0] in STOPS:
        name, at, value = log.stopped_by
        return STOPS[name], at, what_was_found(name, value, parameters)
    if trust := (parameters['watch'] or {}).get('deviation'):
        start, _ = total_steps(parameters)
        first = left_trust(deviation, trust['limit'], trust['rows'], start)
        if first is not None:
            unit = '' if parameters['relative_deviation'] else ' eV/A'
            what = f'the deviation of a force exceeds {trust["limit"]:g}{unit} in {trust["rows"]} consecutive rows'
            return STOPS[DEVIATION], first, what
    return None


def what_was_found(name: str, value: float, parameters: Mapping[str, Any]) -> str:
    """Describe the value that exceeded a limit.

    :param name: name of the limit.
    :param value: value found, in the unit of the limit.
    :param parameters: complete parameters of `dpasse.md`.
    """
    watch = parameters['watch'] or {}
    if name == EXPLOSION:
        return f'a force became {value:.3g} eV/A'
    if name == LOSS:
        return f'{value:.0f} of its atoms were lost'
    if name == MELTING:
        return f'the framework is {value:.3g} A from its sites, more than {watch["framework_displacement"]:g} A'
    if name == HEATING:
        return f'{value:.4g} K, more than {watch["heating"]:.0%} above {hottest(parameters):g} K'
    return f'{value:.3g} meV/(atom ps), more than {watch["energy_drift"]:g}'
