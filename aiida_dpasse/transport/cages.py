"""Sites and cages learnt from a trajectory, and the exchanges of ions between cages.

Sites are the maxima of the ions' density in the mean cell; maxima that no barrier separates are one site. An ion is at
the site whose core it entered last, so that rattling across a border does not count as a hop (Northrup and Hynes, J.
Chem. Phys. 73, 2700, 1980). The sites and the hops between them are a periodic graph. Long-range motion needs a path of
hops through the whole crystal: where no path percolates, its connected parts are cages that no ion left. Where one
does, the cages are the parts connected by the hops that are more frequent than those that every percolating path needs,
and hops between cages are exchanges.

Depends on numpy only, since it is shipped with a driver to the machine that holds the trajectory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Spacing of the grid of the density and standard deviation of the Gaussian that smooths it, A: about the thermal
#: amplitude of a lithium ion.
SPACING, SMOOTHING = 0.35, 0.6
#: A maximum has at least the mean density. Two maxima within `CLOSE` A are one site if the density between them stays
#: above this part of the lower one.
CLOSE, BARRIER = 3.0, 0.6
#: Largest radius of a core in A, and largest part of the distance to the nearest other site.
CORE, PART = 1.2, 0.45
#: Spacing of the grid that assigns positions to cores, A.
FINE = 0.25
#: Ions that spend less than this part of the time in cores, or whose density at its maxima is below this multiple of
#: the mean, move like a liquid: hops have no meaning.
LEAST_LOCATED, LEAST_CONTRAST = 0.4, 2.5
#: Mean number of used bonds of a site from which on random hops would percolate through any common lattice: the
#: thresholds of bond percolation are 1.4 (fcc) to 2 (square) bonds a site.
BONDS = 2.0
#: Blocks of the run, each of which gives an estimate of the occupancies.
BLOCKS = 5
#: Positions assigned at a time, to bound the memory.
PORTION = 2_000_000


@dataclass(frozen=True)
class Exchanges:
    """Hops between sites, and exchanges between cages.

    :param located: part of the time that the ions spend in the cores of sites.
    :param contrast: median of the smoothed density at its maxima, relative to the mean density.
    :param sites: number of sites.
    :param hops: number of hops between sites.
    :param bonds: mean number of bonds of a site over which ions hopped.
    :param percolates: whether the hops form a path through the whole crystal.
    :param cages: number of cages.
    :param exchanges: number of hops between cages.
    :param ions: number of ions, and ``ions_exchanged`` of those that left a cage.
    :param square_distance: mean square distance of the cages' nearest neighbours in A^2, or of the exchanges.
    :param duration: length of the run in ps.
    """

    located: float
    contrast: float
    sites: int
    hops: int
    bonds: float
    percolates: bool
    cages: int
    exchanges: int
    ions: int
    ions_exchanged: int
    square_distance: float
    duration: float

    @property
    def on_sites(self) -> bool:
        """Whether the ions have sites: they do not move like a liquid."""
        return self.located >= LEAST_LOCATED and self.contrast >= LEAST_CONTRAST

    @property
    def meaningful(self) -> bool:
        """Whether the ions have sites, and either rest in them or hop often enough to recognise cages."""
        return self.on_sites and (self.percolates or self.hops == 0 or self.bonds >= BONDS)

    @property
    def confined(self) -> bool:
        """Whether no ion left its cage."""
        return self.meaningful and not self.percolates

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers by name."""
        return {**asdict(self), 'meaningful': self.meaningful, 'confined': self.confined}

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Exchanges:
        """Return the exchanges of which `to_dict` returned these numbers.

        :param numbers: numbers by name.
        """
        return cls(**{field.name: numbers[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Sites:
    """Maxima of the density, and the sites and cages that they belong to.

    :param places: fractional coordinates of the maxima, (n, 3).
    :param occupancies: mean number of ions that entered the core of each last, (n,).
    :param errors: standard errors of the occupancies, from the scatter between blocks of the run, (n,).
    :param sites: number of the site of each, (n,).
    :param cages: number of the cage of each, (n,).
    """

    places: Array
    occupancies: Array
    errors: Array
    sites: Indices
    cages: Indices


def bound_of_confined(runs: Sequence[Exchanges]) -> float:
    """Return the upper bound of D in A^2/ps at 95 % confidence where no ion left its cage in any of the runs.

    With exchanges at random times, three are expected where none is seen with a probability of 5 %.

    :param runs: exchanges of the runs.
    """
    distance = float(np.mean([run.square_distance for run in runs]))
    return -float(np.log(0.05)) * distance / (6 * sum(run.ions * run.duration for run in runs))


def find_cages(positions: Any, cell: Any, interval: float) -> tuple[Exchanges, Sites]:
    """Return the hops between sites and the exchanges between cages of one run, and the sites.

    :param positions: (frames, ions, 3) A, unwrapped, relative to the framework.
    :param cell: mean lattice vectors as rows, (3, 3) A.
    :param interval: time between frames, ps.
    """
    points, lattice = np.asarray(positions), np.asarray(cell, dtype=float)
    frames, ions, _ = points.shape
    maxima, sites, contrast = find_sites(points, lattice)
    number = int(sites.max()) + 1
    centres = maxima[[np.flatnonzero(sites == site)[0] for site in range(number)]]
    at, images, located = visits(points, lattice, maxima, sites)
    # The maxima of one site may lie in different images of the cell.
    apart = maxima - centres[sites]
    images = images + np.rint(apart - _wrap(apart)).astype(np.int64)[at]
    before, ion = np.nonzero((sites[at[1:]] != sites[at[:-1]]) & (at[1:] >= 0) & (at[:-1] >= 0))
    ends = np.stack([sites[at[before, ion]], sites[at[before + 1, ion]]], axis=1)
    shifts = images[before + 1, ion] - images[before, ion]
    # Both directions of a bond are one.
    forward = (ends[:, 0] < ends[:, 1]) | ((ends[:, 0] == ends[:, 1]) & (shifts[:, 0] >= 0))
    bonds = np.where(forward[:, None], np.hstack([ends, shifts]), np.hstack([ends[:, ::-1], -shifts]))
    unique, counts = np.unique(bonds, axis=0, return_counts=True)
    cages, percolates = _cages(unique, counts, number)
    crossed = cages[ends[:, 0]] != cages[ends[:, 1]]
    visited = np.unique(ends)
    occupancies = np.bincount(at[at >= 0], minlength=len(maxima)) / frames
    exchanges = Exchanges(
        located=located,
        contrast=contrast,
        sites=number,
        hops=len(ends),
        bonds=2 * len(unique) / max(len(visited), 1),
        percolates=percolates,
        cages=len(np.unique(cages)),
        exchanges=int(crossed.sum()),
        ions=ions,
        ions_exchanged=len(np.unique(ion[crossed])),
        square_distance=_square_distance(centres, cages, ends[crossed], lattice),
        duration=(frames - 1) * interval,
    )
    return exchanges, Sites(maxima, occupancies, block_error(at, len(maxima)), sites, cages[sites])


def block_error(at: Indices, sites: int) -> Array:
    """Return the standard errors (sites,) of mean numbers of ions, from the scatter between `BLOCKS` parts of the run.

    :param at: number of the site of each ion in each frame, -1 for none, (frames, ions).
    :param sites: number of sites.
    """
    parts = [part for part in np.array_split(at, BLOCKS) if len(part)]
    if len(parts) < 2:
        return np.zeros(sites)
    means = np.array([np.bincount(part[part >= 0], minlength=sites) / len(part) for part in parts])
    return np.asarray(means.std(axis=0, ddof=1) / np.sqrt(len(parts)))


def find_sites(positions: Any, cell: Array) -> tuple[Array, Indices, float]:
    """Return the maxima of the smoothed density, the site of each, and the contrast.

    :param positions: (frames, ions, 3) A.
    :param cell: (3, 3) A.
    :returns: fractional coordinates of the maxima, (n, 3), the number of the site that each belongs to, (n,), and the
        median density of the maxima relative to the mean density.
    """
    shape = np.maximum(4, np.ceil(np.linalg.norm(cell, axis=1) / SPACING)).astype(int)
    density = np.zeros(int(shape.prod()))
    for part in _portions(positions):
        scaled = part @ np.linalg.inv(cell)
        density += np.bincount(_voxels(scaled, shape).ravel(), minlength=len(density))
    waves = np.stack(np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in shape], indexing='ij'), axis=-1)
    waves = waves @ np.linalg.inv(cell).T
    damping = np.exp(-2 * np.pi**2 * SMOOTHING**2 * np.sum(waves**2, axis=-1))
    smooth = np.fft.ifftn(np.fft.fftn(density.reshape(shape)) * damping).real
    highest = smooth >= smooth.mean()
    for shift in np.ndindex(3, 3, 3):
        if shift != (1, 1, 1):
            highest &= smooth >= np.roll(smooth, tuple(np.array(shift) - 1), axis=(0, 1, 2))
    maxima = (np.argwhere(highest) + 0.5) / shape
    apart = _wrap(maxima[:, None] - maxima[None])
    first, second = np.nonzero(np.triu(np.linalg.norm(apart @ cell, axis=-1) < CLOSE, 1))
    line = maxima[first, None] - apart[first, second, None] * np.linspace(0, 1, 11)[:, None]
    between = smooth.ravel()[_voxels(line, shape)]
    joined = between.min(axis=1) > BARRIER * np.minimum(between[:, 0], between[:, -1])
    sites = _components(np.stack([first[joined], second[joined]], axis=1), len(maxima))
    return maxima, sites, float(np.median(smooth[highest]) / smooth.mean())


def visits(positions: Any, cell: Array, maxima: Array, sites: Indices) -> tuple[Indices, Indices, float]:
    """Return the maximum whose core each ion entered last, with its periodic image.

    :param positions: (frames, ions, 3) A, unwrapped.
    :param cell: (3, 3) A.
    :param maxima: fractional coordinates, (n, 3).
    :param sites: site of each maximum, (n,).
    :returns: number of the maximum, -1 before the first core, (frames, ions); its image (frames, ions, 3); and the part
        of the time spent in cores.
    """
    frames, ions, _ = np.shape(positions)
    shape = np.maximum(4, np.ceil(np.linalg.norm(cell, axis=1) / FINE)).astype(int)
    cores = _cores(cell, maxima, sites, shape)
    inverse, inside, start = np.linalg.inv(cell), 0, 0
    at, images = np.full((frames, ions), -1, dtype=np.int64), np.zeros((frames, ions, 3), dtype=np.int64)
    for part in _portions(positions):
        scaled = part @ inverse
        found = cores[_voxels(scaled, shape)]
        inside += int(np.sum(found >= 0))
        place = slice(start, start + len(part))
        at[place] = found
        images[place] = np.where(found[..., None] >= 0, np.round(scaled - maxima[found]), 0)
        start += len(part)
    last = np.maximum.accumulate(np.where(at >= 0, np.arange(frames)[:, None], 0), axis=0)
    everyone = np.arange(ions)
    return at[last, everyone], images[last, everyone], inside / (frames * ions)


def _cores(cell: Array, maxima: Array, sites: Indices, shape: Indices) -> Indices:
    """Return the maximum whose core contains each voxel, -1 outside."""
    apart = np.linalg.norm(_wrap(maxima[:, None] - maxima[None]) @ cell, axis=-1)
    other = np.where(sites[:, None] != sites[None], apart, np.inf).min(axis=1, initial=np.inf)
    radii = np.minimum(PART * other, CORE)
    reach = np.ceil(CORE * np.linalg.norm(np.linalg.inv(cell), axis=0) * shape).astype(int) + 1
    stencil = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing='ij'), axis=-1).reshape(-1, 3)
    cores, nearest = np.full(int(shape.prod()), -1, dtype=np.int64), np.full(int(shape.prod()), np.inf)
    for index, (centre, radius) in enumerate(zip(maxima, radii, strict=True)):
        voxels = np.floor(centre * shape).astype(int) + stencil
        distance = np.linalg.norm(((voxels + 0.5) / shape - centre) @ cell, axis=1)
        flat = np.ravel_multi_index(tuple((voxels % shape).T), tuple(shape))
        closer = (distance < radius) & (distance < nearest[flat])
        cores[flat[closer]], nearest[flat[closer]] = index, distance[closer]
    return cores


def _cages(bonds: Indices, counts: Indices, sites: int) -> tuple[Indices, bool]:
    """Return the cage of each site, and whether the bonds percolate.

    :param bonds: both sites and the periodic shift of each bond, (n, 5).
    :param counts: number of hops over each, (n,).
    :param sites: number of sites.
    """
    if not _percolates(bonds, sites):
        return _components(bonds[:, :2], sites), False
    levels = np.unique(counts)
    low, high = 0, len(levels)
    # The largest number of hops such that the bonds with at least as many percolate.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _percolates(bonds[counts >= levels[middle]], sites) else (low, middle)
    return _components(bonds[counts > levels[low], :2], sites), True


def _percolates(bonds: Indices, sites: int) -> bool:
    """Return whether a path along the bonds leads from a site to a periodic image of it."""
    neighbours: list[list[tuple[int, Indices]]] = [[] for _ in range(sites)]
    for first, second, *shift in bonds.tolist():
        neighbours[first].append((second, np.array(shift)))
        neighbours[second].append((first, -np.array(shift)))
    images: dict[int, Indices] = {}
    for start in range(sites):
        if start in images:
            continue
        images[start], waiting = np.zeros(3, dtype=np.int64), [start]
        while waiting:
            site = waiting.pop()
            for other, shift in neighbours[site]:
                image = images[site] + shift
                if other not in images:
                    images[other] = image
                    waiting.append(other)
                elif np.any(images[other] != image):
                    return True
    return False


def _components(pairs: Indices, count: int) -> Indices:
    """Return the number of the connected component of each of ``count`` nodes."""
    labels = np.arange(count)
    while len(pairs):
        lower = np.minimum(labels[pairs[:, 0]], labels[pairs[:, 1]])
        new = labels.copy()
        np.minimum.at(new, pairs[:, 0], lower)
        np.minimum.at(new, pairs[:, 1], lower)
        new = new[new]
        if np.array_equal(new, labels):
            break
        labels = new
    return np.asarray(np.unique(labels, return_inverse=True)[1])


def _square_distance(centres: Array, cages: Indices, crossed: Indices, cell: Array) -> float:
    """Return the mean square distance of the exchanges; without any, of the nearest sites of different cages, A^2."""
    if len(crossed):
        apart = _wrap(centres[crossed[:, 0]] - centres[crossed[:, 1]])
        return float(np.mean(np.sum((apart @ cell) ** 2, axis=1)))
    if len(centres) < 2:
        return 0.0
    squares = np.sum((_wrap(centres[:, None] - centres[None]) @ cell) ** 2, axis=-1)
    squares = np.where(cages[:, None] != cages[None], squares, np.inf).min(axis=1)
    known = squares[np.isfinite(squares)]
    return float(known.mean()) if len(known) else 0.0


def _portions(positions: Any) -> Any:
    """Yield the frames in parts of at most `PORTION` positions."""
    step = max(1, PORTION // max(np.shape(positions)[1], 1))
    for start in range(0, len(positions), step):
        yield np.asarray(positions[start : start + step], dtype=float)


def _voxels(scaled: Array, shape: Indices) -> Indices:
    """Return the index of the voxel that contains each fractional position."""
    indices = np.minimum(((scaled % 1.0) * shape).astype(int), shape - 1)
    return np.asarray((indices[..., 0] * shape[1] + indices[..., 1]) * shape[2] + indices[..., 2])


def _wrap(differences: Array) -> Array:
    """Return the shortest fractional differences under periodic boundary conditions."""
    return np.asarray(differences - np.round(differences))
