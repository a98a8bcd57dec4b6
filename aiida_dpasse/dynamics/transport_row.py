"""The row of one temperature: diffusion and conductivity, and the parts of their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiida_dpasse.runs import Run
from aiida_dpasse.transport.conductivity import conductivity
from aiida_dpasse.transport.diffusion import Diffusion, Statistics, pool
from aiida_dpasse.transport.ensemble import Effects, Uncertainty, split_variance
from aiida_dpasse.transport.estimate import Estimate, error_of, value_of
from aiida_dpasse.transport.regime import LARGEST_FRAMEWORK_DISPLACEMENT
from aiida_dpasse.transport.tensor import diffusion_tensor

#: Keys of the tensor and of the ratios of its axes.
AXES = ('tensor_cm2_s', 'tensor_error_cm2_s', 'anisotropy', 'anisotropy_error')


def describe(runs: list[tuple[Run, Statistics]], temperature: float, charge: float) -> tuple[Diffusion, dict[str, Any]]:
    """Return diffusion and row of one temperature; undetermined numbers are null.

    A row is ``diffusive`` if the ions diffuse, which includes that the runs determine the coefficient. An error is half
    the 68 % interval and includes the parts listed in ``counts``.

    :param runs: record and statistics of each run.
    :param temperature: temperature in K.
    :param charge: charge of the mobile ion in elementary charges.
    :returns: diffusivities in cm^2/s, conductivities in mS/cm, volume in A^3, times in ps, and the verdict;
        ``variance`` contains the relative standard deviations of the mean, ``groups`` the rows of each potential and
        structure, ``anisotropy`` D along x, y and z over the mean across it.
    """
    statistics = [one for _, one in runs]
    groups = describe_groups(runs, temperature, charge)
    effects = split_groups(groups, 'diffusivity_cm2_s', 'diffusivity_error_cm2_s')
    whole = all(group['conductivity_mS_cm'] is not None for group in groups)
    own = split_groups(groups, 'conductivity_mS_cm', 'conductivity_error_mS_cm') if whole else None
    # Without an estimate of the variance between groups, their scatter enlarges the error of the mean.
    labels = None if effects is None else [(run.structure, run.potential) for run, _ in runs]
    found = pool(statistics, labels, path=True).reported
    known = found.tracer is not None
    volume, ions = float(np.mean([one.volume for one in statistics])), statistics[0].ions
    tracer = None if found.tracer is None else uncertainty_of(found.tracer, effects, effects)
    collective = None if found.collective is None else uncertainty_of(found.collective, own, effects)
    row: dict[str, Any] = {
        'temperature_K': temperature,
        'diffusivity_cm2_s': value_of(found.tracer),
        'error_cm2_s': error_with(found.tracer, tracer),
        'diffusive': known,
        'verdict': verdict_of(statistics, known),
        'reason': found.verdict.reason,
        'upper_bound_cm2_s': found.upper_bound,
        'estimate_cm2_s': value_of(found.estimate),
        'estimate_error_cm2_s': None if found.estimate is None else found.estimate.spread,
        'exchanges': [None if one.exchanges is None else one.exchanges.to_dict() for one in statistics],
        'window_ps': None if found.window is None else list(found.window),
        'msd_line': None if found.line is None else list(found.line),
        'collective_diffusivity_cm2_s': value_of(found.collective),
        'collective_error_cm2_s': error_with(found.collective, collective),
        'haven_ratio': value_of(found.haven),
        'haven_ratio_error': error_of(found.haven),
        **variance_of(tracer),
        **describe_axes(statistics, found, groups),
        'collective_variance': None if collective is None else collective.parts,
        'groups': groups,
        'runs': len(runs),
        'ions': ions,
        'volume_A3': volume,
        'duration_ps': sum(one.duration for one in statistics),
    }
    for name, key in (('nernst_einstein_conductivity', ''), ('conductivity', 'collective_')):
        for part, number in (('', row[f'{key}diffusivity_cm2_s']), ('_error', row[f'{key}error_cm2_s'])):
            determined = number is not None and known
            row[f'{name}{part}_mS_cm'] = (
                conductivity(number or 0.0, ions, volume, temperature, charge) if determined else None
            )
    return found, row


def describe_groups(runs: list[tuple[Run, Statistics]], temperature: float, charge: float) -> list[dict[str, Any]]:
    """Return diffusivity and conductivities of each potential and structure, with their thermal errors.

    :param runs: record and statistics of each run.
    :param temperature: temperature in K.
    :param charge: charge of the mobile ion in elementary charges.
    :returns: one row for each potential and structure, in the units of `describe`; empty if there is one of each.
    """
    labels = dict.fromkeys((run.potential, run.structure) for run, _ in runs)
    groups = []
    for potential, structure in labels if len(labels) > 1 else ():
        own = [one for run, one in runs if (run.potential, run.structure) == (potential, structure)]
        found, volume = pool(own), float(np.mean([one.volume for one in own]))
        group: dict[str, Any] = {'potential': potential, 'structure': structure, 'runs': len(own)}
        group |= {'diffusivity_cm2_s': value_of(found.tracer), 'diffusivity_error_cm2_s': error_of(found.tracer)}
        for name, estimate in (('nernst_einstein_conductivity', found.tracer), ('conductivity', found.collective)):
            for key, value in ((name, value_of(estimate)), (f'{name}_error', error_of(estimate))):
                group[f'{key}_mS_cm'] = (
                    None if value is None else conductivity(value, own[0].ions, volume, temperature, charge)
                )
        groups.append(group | describe_axes(own, found))
    return groups


def describe_axes(runs: list[Statistics], found: Diffusion, groups: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return the tensor of tracer diffusion, and for x, y and z the ratio of D along the axis to the mean D across it.

    x is the direction of the first lattice vector, and the second lies in the plane of x and y.

    :param runs: statistics of the runs.
    :param found: their diffusion.
    :param groups: rows of `describe_groups`, whose scatter widens the errors of the ratios.
    :returns: ``tensor_cm2_s`` (3, 3) and ``anisotropy`` (3,) with their errors (68 %); null where undetermined.
    """
    tensor = diffusion_tensor(runs, found.reported)
    if tensor is None:
        return dict.fromkeys(AXES)
    ratios = [tensor.anisotropy(axis) for axis in np.eye(3)]
    ratios = [ratio if ratio is not None and ratio.determined else None for ratio in ratios]
    errors = []
    for axis, ratio in enumerate(ratios):
        effects = split_groups(groups, 'anisotropy', 'anisotropy_error', axis)
        errors.append(error_with(ratio, None if ratio is None else uncertainty_of(ratio, None, effects)))
    return {
        'tensor_cm2_s': tensor.values.tolist(),
        'tensor_error_cm2_s': tensor.errors.tolist(),
        'anisotropy': [value_of(ratio) for ratio in ratios],
        'anisotropy_error': errors,
    }


def split_groups(
    groups: Sequence[Mapping[str, Any]], value: str, error: str, axis: int | None = None
) -> Effects | None:
    """Return the variance components of the logarithm of a quantity, None if they cannot be estimated.

    :param groups: rows of `describe_groups`; those without the quantity are left out.
    :param value: key of the quantity.
    :param error: key of its error.
    :param axis: index, if there is a value for each axis.
    """
    known = []
    for group in groups:
        pair = [group[key] if axis is None or group[key] is None else group[key][axis] for key in (value, error)]
        if None not in pair:
            known.append((group, *pair))
    if len(known) < 2:
        return None
    effects = split_variance(
        [[np.log(number)] for _, number, _ in known],
        [[[(spread / number) ** 2]] for _, number, spread in known],
        [group['potential'] for group, *_ in known],
        [group['structure'] for group, *_ in known],
    )
    return effects if effects.components else None


def uncertainty_of(estimate: Estimate, own: Effects | None, others: Effects | None) -> Uncertainty:
    """Return the variance of the logarithm of a coefficient.

    :param estimate: the coefficient of all runs, whose error contains part of the scatter between groups.
    :param own: the same coefficient of each group, if each of them determines it.
    :param others: otherwise another coefficient of each group, which is assumed to vary alike.
    """
    if own is not None:
        return own.uncertainty(own.thermal, [1.0])
    thermal = estimate.relative_error**2
    return Uncertainty(thermal) if others is None else others.uncertainty([[thermal]], [1.0])


def error_with(estimate: Estimate | None, uncertainty: Uncertainty | None) -> float | None:
    """Return half the 68 % interval of a coefficient."""
    return None if estimate is None or uncertainty is None else estimate.value * uncertainty.half_width()


def variance_of(uncertainty: Uncertainty | None) -> dict[str, Any]:
    """Return the keys that state which parts an interval includes, and their relative standard deviations.

    :param uncertainty: variance of a logarithm, None if the quantity is undetermined.
    """
    if uncertainty is None:
        return {'variance': None, 'counts': [], 'degrees_of_freedom': None, 'interval_of_potential_only': None}
    freedom = uncertainty.degrees_of_freedom
    return {
        'variance': uncertainty.parts,
        'counts': uncertainty.counts,
        'degrees_of_freedom': freedom if np.isfinite(freedom) else None,
        'interval_of_potential_only': uncertainty.model is None and uncertainty.joint is None,
    }


def verdict_of(runs: list[Statistics], known: bool) -> str:
    """Return the verdict on a temperature: 'melted', 'diffusive' or 'not diffusive'.

    :param runs: statistics of each run.
    :param known: whether the tracer diffusion coefficient is determined.
    """
    if max(run.framework for run in runs) > LARGEST_FRAMEWORK_DISPLACEMENT:
        return 'melted'
    return 'diffusive' if known else 'not diffusive'
