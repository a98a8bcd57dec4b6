"""Locality of forces: the spread of the force on an atom while all atoms beyond a distance move.

With a potential of cutoff R, the force on an atom depends only on the atoms within 2 R (its own neighbours, and
theirs). If these are held fixed, the potential predicts a single force, and any further variation of the reference
force cannot be learned. The root mean square of the reference force about its mean is therefore a lower bound on the
error of any such potential, whatever its functional form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aiida_dpasse.structures.distances import image_vectors, shortest_lattice_vector

Array = NDArray[np.float64]

#: Tolerance in A, so that a shell of atoms whose distances differ by rounding is held as a whole.
TOLERANCE = 1e-6
MILLI = 1000.0


def atoms_within(cell: ArrayLike, positions: ArrayLike, centre: int, radius: float) -> NDArray[np.int64]:
    """Return the atoms, sorted, within ``radius`` of the atom ``centre`` or of one of its images, including itself.

    :param cell: lattice vectors as rows, (3, 3) A; it may be small or skewed.
    :param positions: (n, 3) A, inside the cell or not.
    :param centre: index of the central atom.
    :param radius: A.
    """
    matrix = np.asarray(cell, dtype=float)
    fractional = np.asarray(positions, dtype=float) @ np.linalg.inv(matrix)
    inside = np.zeros(len(fractional), dtype=bool)
    for image in image_vectors(matrix, fractional - fractional[centre], radius + TOLERANCE):
        inside |= np.linalg.norm(image, axis=1) <= radius + TOLERANCE
    return np.flatnonzero(inside)


def smallest_image_distance(distances: Sequence[float]) -> float:
    """Return the smallest distance in A between an atom and its images for the largest sphere not to contain an image.

    :param distances: radii of the spheres in A.
    """
    return 2 * max(distances)


def held_atoms(cell: ArrayLike, positions: ArrayLike, centre: int, distance: float) -> NDArray[np.int64]:
    """Return the atoms to be held fixed around ``centre``, see `atoms_within`.

    :param cell: lattice vectors as rows, (3, 3) A.
    :param positions: (n, 3) A.
    :param centre: index of the central atom.
    :param distance: radius of the sphere in A.
    :raises ValueError: if the sphere reaches its own image, or no atom is left to move.
    """
    image = shortest_lattice_vector(cell)
    wanted = smallest_image_distance([distance])
    if image < wanted - TOLERANCE:
        raise ValueError(
            f'the sphere of {distance:g} A reaches its own image, which is {image:.4g} A away: take a cell with images '
            f'{wanted:g} A apart, or smaller distances'
        )
    held = atoms_within(cell, positions, centre, distance)
    if len(held) == len(np.asarray(positions)):
        raise ValueError(
            f'nothing is left to move around the sphere of {distance:g} A, which holds all {len(held)} atoms: take a '
            'larger cell, or smaller distances'
        )
    return held


@dataclass(frozen=True)
class Spread:
    """Spread of a force about its mean.

    :param variance: (3,) of each component, eV^2/A^2.
    :param error: standard error of the mean of ``variance``.
    :param frames: number of frames.
    :param independent: effective number of independent frames.
    """

    variance: Array
    error: float
    frames: int
    independent: float

    @property
    def rms(self) -> float:
        """Root mean square of a force component about its mean, eV/A, comparable to the RMSE of forces."""
        return float(np.sqrt(self.variance.mean()))

    @property
    def rms_error(self) -> float:
        """Standard error of `rms`, eV/A."""
        return self.error / (2 * self.rms) if self.rms > 0 else 0.0


def inefficiency(series: ArrayLike) -> float:
    """Return the statistical inefficiency of a time series: the number of frames equivalent to one independent frame.

    It is 1 plus twice the sum of the autocorrelation, truncated where the sum of two neighbouring terms is no longer
    positive (Geyer's initial positive sequence), and at least 1.

    :param series: (n, ...), in order of time; of several components the largest inefficiency is returned.
    """
    values = np.asarray(series, dtype=float)
    values = values.reshape(len(values), -1)
    return max(_inefficiency(column) for column in values.T)


def _inefficiency(values: Array) -> float:
    count = len(values)
    moved = values - values.mean()
    variance = float(moved @ moved) / count
    if count < 4 or variance <= 0:
        return 1.0
    terms = [float(moved[: count - lag] @ moved[lag:]) / count / variance for lag in range(1, count)]
    total = 1.0
    for first, second in zip(terms[0::2], terms[1::2], strict=False):
        if first + second <= 0:
            break
        total += 2 * (first + second)
    return float(np.clip(total, 1.0, count / 2))


def force_spread(forces: ArrayLike) -> Spread:
    """Return the spread of the forces on one atom.

    Frames close in time are correlated: the variance is corrected for the effective number of independent frames, and
    so is its error, which follows from the scatter of the squared deviations.

    :param forces: (n, 3) eV/A, in order of time.
    :raises ValueError: for fewer than two frames.
    """
    values = np.asarray(forces, dtype=float)
    count = len(values)
    if count < 2:
        raise ValueError(f'a spread needs two frames at least, got {count}')
    squares = (values - values.mean(axis=0)) ** 2
    independent = count / inefficiency(values)
    # Bessel's correction for the effective number of frames, since the mean is estimated from the same data.
    correction = independent / (independent - 1) if independent > 1 else 1.0
    each = squares.mean(axis=1)
    scatter = float(each.std(ddof=1)) * np.sqrt(inefficiency(each) / count)
    return Spread(squares.mean(axis=0) * correction, scatter * correction, count, independent)


def pool(spreads: Sequence[Spread]) -> Spread:
    """Return the spread over several centres, each about its own mean force, with equal weights.

    Its error is the larger of that from the frames and that from the differences between the centres.

    :param spreads: of the centres, at least one.
    """
    variances = np.array([one.variance for one in spreads])
    frames = sum(one.frames for one in spreads)
    independent = sum(one.independent for one in spreads)
    error = float(np.sqrt(sum(one.error**2 for one in spreads))) / len(spreads)
    if len(spreads) > 1:
        between = float(variances.mean(axis=1).std(ddof=1)) / np.sqrt(len(spreads))
        error = max(error, between)
    return Spread(variances.mean(axis=0), error, frames, independent)


def judge(rows: Sequence[Mapping[str, Any]], tolerance: float) -> tuple[float | None, str]:
    """Return the smallest cutoff in A with a bound of at most ``tolerance``, None if all are larger, and a sentence.

    :param rows: with ``distance_A``, ``force_spread_meV_A`` (None where unknown) and ``force_spread_error_meV_A``. The
        bounds of all larger distances have to be below the tolerance as well, so that a single low value does not
        decide.
    :param tolerance: meV/A.
    """
    known = sorted((row for row in rows if row['force_spread_meV_A'] is not None), key=lambda row: row['distance_A'])
    if not known:
        return None, 'No spread is known, so that nothing can be said of a cutoff.'
    good = None
    for row in reversed(known):
        if row['force_spread_meV_A'] > tolerance:
            break
        good = row
    if good is None:
        last = known[-1]
        return None, (
            f'No cutoff up to {last["distance_A"] / 2:g} A is enough for {tolerance:g} meV/A: at the largest the force '
            f'still spreads by {_told(last)}.'
        )
    radius = good['distance_A'] / 2
    sentence = (
        f'A cutoff of {radius:g} A is the smallest that can be enough for {tolerance:g} meV/A: beyond '
        f'{good["distance_A"]:g} A the force spreads by {_told(good)}'
    )
    if good['force_spread_meV_A'] + 2 * good['force_spread_error_meV_A'] > tolerance:
        sentence += ', which more frames may still bring above it'
    if good is known[0]:
        sentence += '; no smaller distance was tried'
    return radius, f'{sentence}.'


def _told(row: Mapping[str, Any]) -> str:
    return f'{row["force_spread_meV_A"]:.3g} +- {row["force_spread_error_meV_A"]:.2g} meV/A'
