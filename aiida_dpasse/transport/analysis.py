"""From the ways of the ions of one run to the numbers that are published, with the verdict of their checks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.transport.conductivity import conductivity
from aiida_dpasse.transport.diffusion import Diffusion, pool, take_statistics
from aiida_dpasse.transport.estimate import Estimate, error_of, value_of
from aiida_dpasse.transport.tensor import diffusion_tensor

Array = NDArray[np.float64]


def analyse(
    positions: Array,
    charges: Array,
    interval: float,
    volume: float,
    temperature: float,
    hop_length: float,
    framework: float = 0.0,
) -> tuple[dict[str, Any], Diffusion]:
    """Return the numbers of one run by their names with units, None where undetermined, and what they come from.

    Where the motion is not diffusive no coefficient is told. Ions of several charges are taken together: the tracers
    are weighted by z^2, as Nernst and Einstein do.

    :param positions: of all carriers, unwrapped, relative to the framework's centre of mass, (frames, ions, 3) A.
    :param charges: (ions,) in elementary charges.
    :param interval: time between frames in ps; ``volume`` in A^3, ``temperature`` in K, ``hop_length`` in A.
    :param framework: root mean square displacement of the other atoms from their sites in A.
    :raises ValueError: if no ion carries a charge, or volume or temperature is not positive.
    """
    z = np.asarray(charges, dtype=float)
    run = take_statistics(positions, interval, volume, z, framework)
    found = pool([run], hop_length)
    diffusive = found.verdict.diffusive
    tracer, collective, haven = found.told.tracer, found.told.collective, found.told.haven
    # One charge that all ions would have for the same sum of squares.
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
        tensor = diffusion_tensor([run], found, kind) if diffusive else None
        numbers[f'{kind}_tensor_cm2_s'] = None if tensor is None else tensor.values.tolist()
        numbers[f'{kind}_tensor_cm2_s_error'] = None if tensor is None else tensor.errors.tolist()
    numbers |= {
        'diffusive': diffusive,
        'reason': found.verdict.reason,
        'window_ps': None if found.fit is None else list(found.fit.window),
        'hops': found.verdict.hops,
        'independent_walkers': found.walkers,
        'ions': len(z),
        'volume_A3': volume,
        'temperature_K': temperature,
        'duration_ps': run.duration,
        'interval_ps': interval,
        'framework_displacement_A': framework,
    }
    return numbers, found


def _scaled(estimate: Estimate | None, factor: float) -> Estimate | None:
    return None if estimate is None else estimate.scaled(factor)
