"""Passport of a label source: whether its forces and virials are as strong as those of reference frames.

Universal potentials underestimate forces (B. Deng et al., npj Comput. Mater. 11, 9 (2025)). A potential that is trained
on such labels lets the ions move too easily. Errors alone do not show it; the slope of the forces does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.assessment.errors import MILLI, Prediction, error_table
from aiida_dpasse.assessment.report_card import Pairs, aligned, element_scores, energy_errors, force_slope
from aiida_dpasse.deepmd.frameset import FrameSet

STIFF, SOFT, UNDETERMINED = 'stiff enough', 'soft', 'undetermined'
SAME, OPPOSITE = 'same', 'opposite'
#: Errors that do not depend on the constants of the energies.
KEPT = ('force_mae_meV_A', 'force_rmse_meV_A', 'virial_mae_meV_atom', 'virial_rmse_meV_atom')
#: Quantiles of the interval, one standard deviation of a normal distribution to either side.
QUANTILES = (0.16, 0.84)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Slope:
    """Slope of predicted against reference values.

    :param value: the slope, None if all reference values are zero.
    :param interval: 68 % interval, None for a single frame.
    :param frames: number of frames.
    """

    value: float | None
    interval: tuple[float, float] | None
    frames: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        interval = None if self.interval is None else list(self.interval)
        return {'slope': self.value, 'interval': interval, 'frames': self.frames}

    def verdict(self, limit: float, minimum: int) -> str:
        """Return 'stiff enough' or 'soft' if the whole interval is above or below ``limit``, else 'undetermined'.

        :param limit: smallest slope that is stiff enough.
        :param minimum: smallest number of frames.
        """
        if self.interval is None or self.frames < minimum:
            return UNDETERMINED
        low, high = self.interval
        return STIFF if low >= limit else SOFT if high < limit else UNDETERMINED

    def sign(self) -> str:
        """Return whether the slope is positive ('same'), negative ('opposite') or 'undetermined'."""
        if self.interval is None:
            return UNDETERMINED
        return SAME if self.interval[0] > 0 else OPPOSITE if self.interval[1] < 0 else UNDETERMINED

    def frames_to_decide(self, limit: float, minimum: int) -> int | None:
        """Return the number of frames at which the interval no longer contains ``limit``, None if it is unknown.

        The width of the interval is proportional to the inverse square root of the number of frames.

        :param limit: smallest slope that is stiff enough.
        :param minimum: smallest number of frames.
        """
        if self.value is None or self.interval is None or self.value == limit:
            return None
        side = self.value - self.interval[0] if self.value > limit else self.interval[1] - self.value
        return max(minimum, ceil(self.frames * (side / (self.value - limit)) ** 2))


def bootstrap_weights(frames: int, samples: int, rng: np.random.Generator) -> Array:
    """Return how often each frame is drawn in each bootstrap sample, (samples + 1, frames); the first row is all ones.

    :param frames: number of frames.
    :param samples: number of samples.
    :param rng: random number generator.
    """
    drawn = rng.multinomial(frames, np.full(frames, 1 / frames), size=samples)
    return np.concatenate([np.ones((1, frames)), drawn])


def slope_through_origin(products: Array, squares: Array, weights: Array) -> Slope:
    """Return the slope <x y> / <x^2> of y against x, with its interval from the bootstrap over frames.

    :param products: (n,), sum of x y over each frame.
    :param squares: (n,), sum of x^2 over each frame.
    :param weights: of `bootstrap_weights`.
    """
    return _slope(weights @ products, weights @ squares, len(products))


def slope_within_groups(x: Array, y: Array, groups: Sequence[Any], weights: Array) -> Slope:
    """Return the slope of y against x where each group of frames has its own intercept.

    :param x: (n,), reference.
    :param y: (n,), prediction.
    :param groups: (n,), group of each frame.
    :param weights: of `bootstrap_weights`.
    """
    covariance, variance = np.zeros(len(weights)), np.zeros(len(weights))
    for group in set(groups):
        mine = np.array([other == group for other in groups])
        # Shifted by the mean, which changes nothing but keeps the differences of large sums exact.
        w, u, v = weights[:, mine], x[mine] - x[mine].mean(), y[mine] - y[mine].mean()
        total = np.maximum(w.sum(1), 1)
        covariance += w @ (u * v) - (w @ u) * (w @ v) / total
        variance += w @ (u * u) - np.square(w @ u) / total
    return _slope(covariance, variance, len(x))


def _slope(above: Array, below: Array, frames: int) -> Slope:
    if below[0] <= 0:
        return Slope(None, None, frames)
    kept = below > 1e-9 * below[0]
    values = above[kept] / below[kept]
    low, high = np.quantile(values[1:], QUANTILES) if frames > 1 else (np.nan, np.nan)
    return Slope(float(values[0]), (float(low), float(high)) if frames > 1 else None, frames)


def force_sums(pairs: Pairs, element: str | None = None) -> tuple[Array, Array]:
    """Return the sums of F F_ref and of F_ref^2 over each frame, (n,) each, in eV^2/A^2.

    :param pairs: frame sets with their predictions.
    :param element: sum over its atoms only; frames without it are left out.
    """
    products, squares = [], []
    for item, prediction in pairs:
        mine = np.array([element in (None, symbol) for symbol in item.symbols])
        if mine.any():
            reference = np.asarray(item.forces)[:, mine]
            products.append((prediction.forces[:, mine] * reference).sum((1, 2)))
            squares.append(np.square(reference).sum((1, 2)))
    return np.concatenate(products), np.concatenate(squares)


def reverse_slope(pairs: Pairs, element: str | None = None) -> float | None:
    """Return <F F_ref> / <F^2>, the slope of the reference against the source.

    A potential that is fitted to the reference by least squares has 1 here, and a slope below 1 in the other direction
    by its scatter alone; above 1 the source is soft whatever its scatter. None if all forces are zero.

    :param pairs: frame sets with their predictions.
    :param element: consider its atoms only.
    """
    masks = [np.array([element in (None, symbol) for symbol in item.symbols]) for item, _ in pairs]
    reference = [np.ravel(np.asarray(item.forces)[:, mine]) for mine, (item, _) in zip(masks, pairs, strict=True)]
    source = [np.ravel(prediction.forces[:, mine]) for mine, (_, prediction) in zip(masks, pairs, strict=True)]
    return force_slope(np.concatenate(source), np.concatenate(reference))


def virial_parts(virials: Array, natoms: int) -> tuple[Array, Array]:
    """Return the isotropic part, (n,), and the deviatoric part, (n, 3, 3), of virials per atom in eV.

    :param virials: (n, 3, 3) eV.
    :param natoms: number of atoms.
    """
    symmetric = (virials + virials.transpose(0, 2, 1)) / (2 * natoms)
    isotropic = np.trace(symmetric, axis1=1, axis2=2) / 3
    return isotropic, symmetric - isotropic[:, None, None] * np.eye(3)


def virial_slopes(pairs: Pairs, samples: int, rng: np.random.Generator) -> dict[str, Any] | None:
    """Return slope and sign of the deviatoric and of the isotropic virial, None if no reference frame has a virial.

    The line of the deviatoric part passes through the origin. That of the isotropic part has an intercept for each
    formula, because pressures of two methods differ by a constant.

    :param pairs: frame sets with their predictions.
    :param samples: number of bootstrap samples.
    :param rng: random number generator of the bootstrap.
    :returns: number of ``frames``; ``deviatoric`` and ``isotropic``, each with ``slope``, ``interval`` and ``sign``
        ('same' or 'opposite' as the reference, or 'undetermined'); ``offset_meV_atom``, the mean isotropic difference,
        predicted minus reference.
    """
    pairs = [(item, prediction) for item, prediction in pairs if item.virials is not None]
    if not pairs:
        return None
    references = [virial_parts(np.asarray(item.virials), item.natoms) for item, _ in pairs]
    predictions = [virial_parts(prediction.virials, item.natoms) for item, prediction in pairs]
    x, y = (np.concatenate([isotropic for isotropic, _ in parts]) for parts in (references, predictions))
    u, v = (np.concatenate([deviatoric for _, deviatoric in parts]) for parts in (references, predictions))
    weights = bootstrap_weights(len(x), samples, rng)
    groups = [item.formula for item, _ in pairs for _ in range(len(item))]
    slopes = {
        'deviatoric': slope_through_origin((u * v).sum((1, 2)), np.square(u).sum((1, 2)), weights),
        'isotropic': slope_within_groups(x, y, groups, weights),
    }
    parts = {name: {**slope.as_dict(), 'sign': slope.sign()} for name, slope in slopes.items()}
    return {'frames': len(x), **parts, 'offset_meV_atom': float((y - x).mean() * MILLI)}


def passport(
    pairs: Pairs, slope_limit: float = 0.85, minimum_frames: int = 10, samples: int = 1000, seed: int = 1
) -> dict[str, Any]:
    """Return the passport of a label source.

    The intervals are from the 16 % to the 84 % quantile of a bootstrap over the frames, which assumes that the frames
    are independent. Energies are compared after subtraction of one constant per element, fitted to these frames by
    least squares, since the references of two methods differ by such constants; with one formula, this is the mean
    difference.

    :param pairs: reference frames with energies and forces, and the labels of the source.
    :param slope_limit: smallest slope that is stiff enough.
    :param minimum_frames: with fewer frames, the verdict is 'undetermined'.
    :param samples: number of bootstrap samples.
    :param seed: seed of the bootstrap.
    :returns: number of ``frames``, also by formula as ``formulas``; ``errors``; ``forces`` with the ``slope``
        <F F_ref> / <F_ref^2> (1 is right, below 1 is soft), its ``interval`` and ``verdict``, and the ``reverse_slope``
        (see `reverse_slope`); the same ``per_element``;
        ``virial`` (see `virial_slopes`); ``slope_limit``; the ``verdict``, 'soft' if all forces or those on one element
        are soft; ``frames_to_decide``, an estimate for an undetermined verdict; and the ``reason``.
    """
    rng = np.random.default_rng(seed)
    slopes: dict[str | None, Slope] = {None: _force_slope(pairs, None, samples, rng)}
    elements = sorted({symbol for item, _ in pairs for symbol in item.symbols})
    slopes |= {element: _force_slope(pairs, element, samples, rng) for element in elements}
    verdicts = {name: slope.verdict(slope_limit, minimum_frames) for name, slope in slopes.items()}
    verdict = next(found for found in (SOFT, UNDETERMINED, STIFF) if found in verdicts.values())
    rows = {
        name: {**slope.as_dict(), 'verdict': verdicts[name], 'reverse_slope': reverse_slope(pairs, name)}
        for name, slope in slopes.items()
    }
    virial = virial_slopes(pairs, samples, rng)
    formulas: dict[str, int] = {}
    for item, _ in pairs:
        formulas[item.formula] = formulas.get(item.formula, 0) + len(item)
    open_ = [slopes[name] for name, found in verdicts.items() if verdict == found == UNDETERMINED]
    needed = [slope.frames_to_decide(slope_limit, minimum_frames) for slope in open_]
    return {
        'frames': slopes[None].frames,
        'formulas': dict(sorted(formulas.items())),
        'errors': passport_errors(pairs),
        'forces': rows.pop(None),
        'per_element': {element: {**rows[element], **_atoms(_with(pairs, element), element)} for element in elements},
        'virial': virial,
        'slope_limit': slope_limit,
        'verdict': verdict,
        'frames_to_decide': max((n for n in needed if n is not None), default=None),
        'reason': reason_of(slopes, verdicts, slope_limit, minimum_frames, virial),
    }


def _force_slope(pairs: Pairs, element: str | None, samples: int, rng: np.random.Generator) -> Slope:
    products, squares = force_sums(pairs, element)
    return slope_through_origin(products, squares, bootstrap_weights(len(products), samples, rng))


def _with(pairs: Pairs, element: str) -> list[tuple[FrameSet, Prediction]]:
    return [pair for pair in pairs if element in pair[0].symbols]


def _atoms(pairs: Pairs, element: str) -> dict[str, Any]:
    found = element_scores(pairs, element)
    return {name: found[name] for name in ('atoms', 'force_mae_meV_A', 'force_rmse_meV_A')}


def passport_errors(pairs: Pairs) -> dict[str, Any]:
    """Return the errors of energies (meV/atom, constants per element subtracted), forces (meV/A), and virials
    (meV/atom).

    :param pairs: reference frames and the labels of the source.
    :returns: MAE and RMSE of each; ``energy_offset_meV_atom``, the mean signed difference before the subtraction.
    """
    table = error_table([item for item, _ in pairs], [prediction for _, prediction in pairs])
    raw = np.concatenate([energy_errors(item, prediction) for item, prediction in pairs]) * MILLI
    left = aligned(pairs) * MILLI
    kept = {name: table[name] for name in KEPT if name in table}
    return {
        'energy_mae_meV_atom': float(np.abs(left).mean()),
        'energy_rmse_meV_atom': float(np.sqrt(np.square(left).mean())),
        'energy_offset_meV_atom': float(raw.mean()),
        **kept,
    }


def shown(value: float | None, interval: Sequence[float] | None) -> str:
    """Return a slope with its interval as text.

    :param value: the slope, or None.
    :param interval: its interval, or None.

    >>> shown(0.9512, (0.941, 0.962)), shown(None, None)
    ('0.95 (0.94-0.96)', 'undetermined')
    """
    if value is None:
        return UNDETERMINED
    return f'{value:.2f}' if interval is None else f'{value:.2f} ({interval[0]:.2f}-{interval[1]:.2f})'


def reason_of(
    slopes: Mapping[str | None, Slope],
    verdicts: Mapping[str | None, str],
    limit: float,
    minimum: int,
    virial: Mapping[str, Any] | None = None,
) -> str:
    """Return the reason of the verdict in plain English.

    :param slopes: slope of the forces by element; that of all atoms is None.
    :param verdicts: verdict on each.
    :param limit: smallest slope that is stiff enough.
    :param minimum: smallest number of frames.
    :param virial: of `virial_slopes`.
    """

    def listed(verdict: str) -> str:
        chosen = [name for name, found in verdicts.items() if found == verdict]
        return ', '.join(
            f'{shown(slopes[name].value, slopes[name].interval)} {f"on {name}" if name else "on all atoms"}'
            for name in chosen
        )

    frames = slopes[None].frames
    if SOFT in verdicts.values():
        reason = f'The slope of the forces is {listed(SOFT)}: below {limit:g}.'
    elif frames < minimum:
        reason = f'{frames} frames are too few: give at least {minimum}.'
    elif UNDETERMINED in verdicts.values():
        reason = (
            f'The slope of the forces is {listed(UNDETERMINED)}: more frames can decide whether it reaches {limit:g}.'
        )
    else:
        lowest = min((name for name in slopes if name), key=lambda name: slopes[name].value or 0.0)
        whole = shown(slopes[None].value, slopes[None].interval)
        reason = (
            f'The slope of the forces is {whole} on all atoms and at least '
            f'{shown(slopes[lowest].value, slopes[lowest].interval)} on each element ({lowest}): not below {limit:g}.'
        )
    wrong = [name for name in ('deviatoric', 'isotropic') if virial is not None and virial[name]['sign'] == OPPOSITE]
    return f'{reason} The {" and ".join(wrong)} virial has the opposite sign.' if wrong else reason
