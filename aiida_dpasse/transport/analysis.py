"""Transport coefficients of one run from the trajectories of its ions, with the verdict on the diffusive regime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.conductivity import conductivity
from aiida_dpasse.transport.diffusion import Diffusion, Statistics, pool, take_statistics
from aiida_dpasse.transport.estimate import Estimate, error_of, value_of
from aiida_dpasse.transport.tensor import diffusion_tensor

Array = NDArray[np.float64]


def analyse(
    positions: Array,
    charges: Array,
    interval: float,
    volume: float,
    temperature: float,
    framework: float = 0.0,
    species: Sequence[str] | None = None,
    cell: Array | None = None,
) -> tuple[dict[str, Any], Diffusion]:
    """Return the transport coefficients of one run and the `Diffusion` they derive from.

    Coefficients are None where they are undetermined or where the motion is not diffusive; the upper bound of D* and
    the estimate of D*, which may be negative within its error, are given there. Ions of several charges are pooled:
    each tracer is weighted by z^2, as in the Nernst-Einstein relation.

    :param positions: (frames, ions, 3) A, of all carriers, unwrapped, relative to the framework's centre of mass.
    :param charges: (ions,) in elementary charges.
    :param interval: time between frames in ps.
    :param volume: volume of the cell in A^3.
    :param temperature: K.
    :param framework: root mean square displacement of the other atoms from their sites in A.
    :param species: (ions,) by default ions of one charge are of one species.
    :param cell: mean lattice vectors as rows, (3, 3) A, of a crystal, whose sites and cages are learnt.
    :returns: the results keyed by name and unit (for example ``tracer_diffusivity_cm2_s``), each coefficient with its
        standard deviation and 95 % interval; and the underlying `Diffusion`.
    :raises ValueError: if no ion carries a charge, or volume or temperature is not positive.
    """
    return describe(
        [take_statistics(positions, interval, volume, charges, framework, species, cell)], charges, temperature
    )


def describe(runs: Sequence[Statistics], charges: Array, temperature: float) -> tuple[dict[str, Any], Diffusion]:
    """Return the transport coefficients of independent runs of one system, see `analyse`.

    :param runs: statistics of the runs.
    :param charges: (ions,) in elementary charges.
    :param temperature: K.
    :raises ValueError: if the runs differ in their ions or their sampling interval, or the temperature is not positive.
    """
    z = np.asarray(charges, dtype=float)
    found = pool(runs)
    volume = float(np.mean([run.volume for run in runs]))
    diffusive = found.verdict.diffusive
    tracer, collective, haven = found.reported.tracer, found.reported.collective, found.reported.haven
    # The root mean square charge gives the same sum of z^2 as the individual charges.
    factor = conductivity(1.0, len(z), volume, temperature, float(np.sqrt(np.mean(z**2))))
    numbers: dict[str, Any] = {}
    for name, unit, estimate in (
        ('tracer_diffusivity', '_cm2_s', tracer),
        ('collective_diffusivity', '_cm2_s', collective),
        ('haven_ratio', '', haven),
        ('conductivity', '_mS_cm', _scaled(collective, factor)),
        ('nernst_einstein_conductivity', '_mS_cm', _scaled(tracer, factor)),
    ):
        numbers[f'{name}{unit}'] = value_of(estimate)
        numbers[f'{name}{unit}_error'] = error_of(estimate)
        numbers[f'{name}{unit}_interval_95'] = None if estimate is None else list(estimate.interval(0.95))
    for kind in ('tracer', 'collective'):
        tensor = diffusion_tensor(runs, found.reported, kind)
        numbers[f'{kind}_tensor_cm2_s'] = None if tensor is None else tensor.values.tolist()
        numbers[f'{kind}_tensor_cm2_s_error'] = None if tensor is None else tensor.errors.tolist()
    numbers |= {
        'diffusive': diffusive,
        'reason': found.verdict.reason,
        'tracer_diffusivity_upper_bound_cm2_s': found.upper_bound,
        'tracer_diffusivity_estimate_cm2_s': value_of(found.estimate),
        'tracer_diffusivity_estimate_cm2_s_error': None if found.estimate is None else found.estimate.spread,
        'window_ps': None if found.window is None else list(found.window),
        'line': None if found.line is None else {'offset_A2': found.line[0], 'slope_A2_ps': found.line[1]},
        'relaxations': relaxations(found),
        'exchanges': [run.exchanges.to_dict() for run in runs if run.exchanges is not None],
        'independent_walkers': found.walkers,
        'ions': len(z),
        'volume_A3': volume,
        'temperature_K': temperature,
        'runs': len(runs),
        'duration_ps': sum(run.duration for run in runs),
        'interval_ps': runs[0].interval,
        'framework_displacement_A': max(run.framework for run in runs),
    }
    return numbers, found


def relaxations(found: Diffusion) -> list[dict[str, float]]:
    """Return the bounded motions that contribute to the MSD, with their relaxation times.

    :param found: diffusion.
    :returns: ``time_ps`` and ``mean_square_amplitude_A2`` (an axis) of those with at least 1 % of the sum.
    """
    if found.limit is None:
        return []
    amplitudes = found.limit.amplitudes
    kept = np.flatnonzero(np.abs(amplitudes) > 0.01 * np.abs(amplitudes).sum())
    return [
        {'time_ps': float(found.limit.times[one]), 'mean_square_amplitude_A2': float(amplitudes[one])} for one in kept
    ]


def _scaled(estimate: Estimate | None, factor: float) -> Estimate | None:
    return None if estimate is None else estimate.scaled(factor)
