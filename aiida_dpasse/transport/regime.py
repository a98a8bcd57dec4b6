"""Verdict on the motion of the ions: whether it is diffusive, with the reason if it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aiida_dpasse.transport.cages import Exchanges, bound_of_confined
from aiida_dpasse.transport.estimate import Estimate
from aiida_dpasse.transport.memory import Limit, Spectrum

#: Root mean square displacement in A above which the framework has melted or decomposed; thermal motion is about 0.5 A.
LARGEST_FRAMEWORK_DISPLACEMENT = 2.0
#: Displacements grow faster than by diffusion if the power at the lowest orders exceeds the fit by this part of it and
#: by this number of standard errors.
LOWEST_ORDERS, LARGEST_EXCESS, ERRORS = 4, 0.3, 4.0


@dataclass(frozen=True)
class Verdict:
    """Whether the motion is diffusive, and the reason as a sentence.

    :param diffusive: whether all criteria of `judge` are met.
    :param reason: one sentence.
    :param bounded: whether an upper bound of the diffusion coefficient has a meaning.
    :param upper_bound: upper bound of D in A^2/ps at 95 % confidence from counted exchanges, if no ion left its cage.
    """

    diffusive: bool
    reason: str
    bounded: bool = True
    upper_bound: float | None = None


def judge(
    estimate: Estimate | None,
    limit: Limit | None,
    spectra: Sequence[Spectrum],
    framework: float = 0.0,
    exchanges: Sequence[Exchanges] = (),
    path: bool = False,
) -> Verdict:
    """Return the verdict on a zero-frequency limit.

    The motion is diffusive if these criteria are met:

    - the framework is displaced by at most `LARGEST_FRAMEWORK_DISPLACEMENT`;
    - the power does not increase towards the lowest frequencies, as it does where something drifts or melts;
    - ions leave their cages, see `Exchanges.confined`;
    - with ``path``, the hops of ions that have sites form a path through the crystal in at least half of the runs. Ions
      that hop about once each and have not yet left their cage, such as that of an argyrodite, look like ions that
      diffuse;
    - the diffusion coefficient is determined, see `Estimate.determined`.

    :param estimate: D in A^2/ps, None if no ion moves.
    :param limit: limit of the spectrum, None if no ion moves.
    :param spectra: spectra of the runs.
    :param framework: root mean square displacement of the other atoms from their crystal sites in A.
    :param exchanges: exchanges between cages in each run, if they were counted.
    :param path: whether a path through the crystal is required.
    """
    if framework > LARGEST_FRAMEWORK_DISPLACEMENT:
        return Verdict(
            False,
            f'The framework itself moved by {framework:.2g} A: it melted or fell apart; simulate colder, or with a '
            'better potential.',
            bounded=False,
        )
    if estimate is None or limit is None:
        return Verdict(False, 'No ion moves: the frames are copies of each other.', bounded=False)
    excess, error = low_frequency_excess(limit, spectra)
    if excess > LARGEST_EXCESS and excess > ERRORS * error:
        return Verdict(
            False,
            f'The displacements grow faster than by diffusion, {1 + excess:.2g} times as much power at the lowest '
            'frequencies: something drifts or melts.',
            bounded=False,
        )
    hops, crossed = (sum(getattr(run, name) for run in exchanges) for name in ('hops', 'exchanges'))
    if exchanges and all(run.confined for run in exchanges):
        what = f'{hops} hops stay within cages' if hops else 'The ions rest on their sites'
        bound = bound_of_confined(exchanges)
        reason = f'{what}: no ion makes its way through the crystal, so that D < {bound * 1e-4:.2g} cm²/s at 95 %.'
        return Verdict(False, reason, upper_bound=bound)
    sited = len(exchanges) > 0 and all(run.on_sites for run in exchanges)
    apart = sited and 2 * sum(run.percolates for run in exchanges) < len(exchanges)
    if apart and path:
        time = sum(run.duration for run in exchanges)
        return Verdict(
            False,
            f'{hops} hops of {exchanges[0].ions} ions in {time:.3g} ps form no path through the crystal, so that D < '
            f'{estimate.upper_bound() * 1e-4:.2g} cm²/s at 95 %: a longer run is needed to distinguish diffusion from '
            'motion in cages.',
        )
    if not estimate.determined:
        value, error, bound = (part * 1e-4 for part in (estimate.value, estimate.spread, estimate.upper_bound()))
        return Verdict(
            False,
            f'D = ({value:.2g} ± {error:.1g}) cm²/s is undetermined, below {bound:.2g} cm²/s at 95 % confidence: the '
            'ions rattle in place, or the run is too short.',
        )
    reason = f'The long-time limit of the motion is resolved, D is known to {estimate.relative_error:.0%}'
    if exchanges and all(run.meaningful for run in exchanges):
        part = f'{max(run.ions_exchanged for run in exchanges)} of {exchanges[0].ions} ions'
        reason += f'; {hops} hops, {crossed} of them between cages by {part}'
    if apart:
        reason += f'; {hops} hops form no path through the crystal: if the ions share cages, a longer run is needed'
    return Verdict(True, f'{reason}.')


def low_frequency_excess(limit: Limit, spectra: Sequence[Spectrum]) -> tuple[float, float]:
    """Return the relative excess of the power at the `LOWEST_ORDERS` over the fit, and its standard error.

    :param limit: limit of the spectrum.
    :param spectra: spectra of the runs.
    """
    power = expected = variance = 0.0
    for spectrum, fitted in zip(spectra, limit.fitted, strict=True):
        low = spectrum.order[:, 1] <= LOWEST_ORDERS
        counts = spectrum.counts[low]
        power += float(counts @ spectrum.mean[low])
        expected += float(counts @ fitted[low])
        variance += float(np.sum(counts * fitted[low] ** 2)) / (1.5 * spectrum.ions) * limit.dispersion
    return power / expected - 1, variance**0.5 / expected
