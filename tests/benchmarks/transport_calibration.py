"""Calibration of the errors of D*, D_sigma and the Haven ratio, with other programs on the same walks.

With this package alone, or with the optional dependencies `comparators`:
    OMP_NUM_THREADS=1 python tests/benchmarks/transport_calibration.py --trials 400 --peer-trials 40

The exact D of every walk is known. The table has the bias relative to it, the reported error relative to the scatter of
the trials, and how often the intervals contain the truth: 68.3 % and 95 % are right.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from walks import alternating_walk, caged_walk, lattice_walk, reversing_walk

from aiida_dpasse.transport.diffusion import pool, take_statistics

LENGTH, INTERVAL, BOX = 2.5, 0.1, 40.0
#: For each quantity: value, error, and whether the intervals of 68.3 % and 95 % contain a truth.
Answer = dict[str, tuple[float, float, Callable[[float], tuple[bool, bool]]]]


@dataclass(frozen=True)
class Case:
    """Walks of one kind.

    :param name: name in the table.
    :param walk: makes one run from a random generator, (frames, ions, 3) A.
    :param diffusivity: exact D, A^2 per frame.
    :param size: number of ions that move as one, the inverse of the Haven ratio.
    :param runs: number of replicas.
    """

    name: str
    walk: Callable[[np.random.Generator], Any]
    diffusivity: float
    size: int = 1
    runs: int = 1


def lattice(frames: int, walkers: int, rate: float, noise: float, size: int = 1, runs: int = 1) -> Case:
    """Return independent hops of single ions, or of rigid chains of ``size`` ions."""
    what = 'independent hops' if size == 1 else f'chains of {size}'
    name = f'{what}, {runs} x {frames} frames, {walkers * size} ions'
    walk = partial(lattice_walk, frames=frames, walkers=walkers, rate=rate, length=LENGTH, size=size, noise=noise)
    return Case(name, walk, rate * LENGTH**2 / 6, size, runs)


def reversing(frames: int, ions: int, rate: float, reversal: float) -> Case:
    """Return hops that are undone with the probability ``reversal``."""
    walk = partial(reversing_walk, frames=frames, ions=ions, rate=rate, length=LENGTH, reversal=reversal, noise=0.2)
    name = f'reversal {reversal:g}, {frames} frames, {ions} ions'
    return Case(name, walk, rate * LENGTH**2 / 6 * (1 - reversal) / (1 + reversal))


def alternating(frames: int, ions: int, fast: float, slow: float) -> Case:
    """Return hops over fast and slow bonds in turn."""
    walk = partial(alternating_walk, frames=frames, ions=ions, fast=fast, slow=slow, length=LENGTH, noise=0.2)
    return Case(
        f'rates {fast:g} and {slow:g}, {frames} frames, {ions} ions', walk, 2 * LENGTH**2 * fast * slow / (fast + slow)
    )


def caged(frames: int, ions: int) -> Case:
    """Return cages that are filled in 2 ps and left every 49 ps."""
    walk = partial(caged_walk, frames=frames, ions=ions, rate=0.1 / 49, length=7.0, width=1.3, relaxation=20)
    return Case(f'cages, {frames} frames, {ions} ions', walk, 0.1 / 49 * 49 / 6)


def axes(frames: int, ions: int, count: int) -> Case:
    """Return Brownian motion along ``count`` axes, with rattling along all."""

    def walk(rng: np.random.Generator) -> Any:
        steps = rng.normal(scale=0.5, size=(frames, ions, 3)) * (np.arange(3) < count)
        return np.cumsum(steps, axis=0) + rng.normal(scale=0.2, size=steps.shape)

    return Case(f'{count} axes, {frames} frames, {ions} ions', walk, 0.125 * count / 3)


def populations(frames: int, ions: int) -> Case:
    """Return two populations, of which one hops ten times as often as the other."""

    def walk(rng: np.random.Generator) -> Any:
        parts = [lattice_walk(rng, frames, ions // 2, rate, LENGTH, noise=0.2) for rate in (0.1, 0.01)]
        return np.concatenate(parts, axis=1)

    return Case(f'two populations, {frames} frames, {ions} ions', walk, 0.055 * LENGTH**2 / 6)


CASES = (
    lattice(400, 16, 0.1, 0.0),
    lattice(1000, 16, 0.1, 0.0),
    lattice(4000, 16, 0.02, 0.2),
    lattice(400, 64, 0.1, 0.2),
    lattice(1000, 1000, 0.05, 0.2),
    lattice(250, 400, 1 / 250, 0.2),
    lattice(400, 8, 0.1, 0.0, size=4),
    lattice(1000, 8, 0.1, 0.2, size=4, runs=2),
    lattice(300, 32, 0.1, 0.0, size=2, runs=4),
    reversing(1000, 20, 0.1, 0.4),
    reversing(1000, 20, 0.1, 0.8),
    reversing(2000, 100, 0.1, 0.6),
    alternating(2000, 32, 0.1, 0.004),
    alternating(1000, 1000, 0.1, 0.004),
    caged(1500, 16),
    caged(3000, 16),
    caged(6000, 16),
    axes(1000, 24, 1),
    axes(1000, 24, 2),
    axes(1000, 24, 3),
    populations(1000, 32),
)
#: Cases on which the other programs are run.
PEER_CASES = tuple(CASES[index] for index in (0, 5, 6, 9, 10, 12, 14))


def ours(walks: list[Any]) -> Answer:
    """Return what this package determines."""
    found = pool([take_statistics(walk, INTERVAL, 1000.0) for walk in walks])

    def holds(estimate: Any, truth: float) -> tuple[bool, bool]:
        (low, high), (lower, higher) = estimate.interval(0.683), estimate.interval(0.95)
        return low < truth < high, lower < truth < higher

    return {
        name: (one.value, one.error, partial(holds, one))
        for name, one in {'D*': found.tracer, 'Dσ': found.collective, 'H': found.haven}.items()
        if one is not None
    }


def normal(value: float, error: float) -> tuple[float, float, Callable[[float], tuple[bool, bool]]]:
    """Return value and error with symmetric intervals."""
    return value, error, lambda truth: (abs(value - truth) < error, abs(value - truth) < 1.96 * error)


def pymatgen(walks: list[Any]) -> Answer:
    """Return the same by pymatgen-analysis-diffusion, whose Haven ratio has no error."""
    from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer
    from pymatgen.core import Structure

    positions = walks[0]
    ions = positions.shape[1]
    places = np.random.default_rng(0).random((ions + 2, 3))
    crystal = Structure(np.eye(3) * BOX, ['Li'] * ions + ['S'] * 2, places)
    ways = np.concatenate([positions - positions[0], np.zeros((len(positions), 2, 3))], axis=1)
    found = DiffusionAnalyzer(crystal, np.moveaxis(ways, 0, 1), 'Li', 600, 1, INTERVAL * 1000)
    return {
        'D*': normal(found.diffusivity, found.diffusivity_std_dev),
        'Dσ': normal(found.chg_diffusivity, found.chg_diffusivity_std_dev),
    }


def kinisi(walks: list[Any]) -> Answer:
    """Return D* by kinisi, the posterior from the lag on at which an ion has hopped once.

    D_sigma, which would take as long again, is left out.
    """
    import scipp as sc
    from kinisi.diffusion import Diffusion
    from kinisi.displacement import calculate_msd
    from kinisi.parser import Parser

    positions = walks[0]
    frames, ions, _ = positions.shape
    units = np.concatenate([positions / BOX % 1, np.zeros((frames, 2, 3))], axis=1)
    parser = Parser(
        coords=sc.array(dims=['time', 'particle', 'dimension'], values=units),
        latt=sc.array(dims=['time', 'row', 'column'], values=np.tile(np.eye(3) * BOX, (frames, 1, 1)), unit='angstrom'),
        time_step=INTERVAL * sc.Unit('ps'),
        step_skip=1 * sc.units.dimensionless,
        specie_indices=sc.array(dims=['particle'], values=np.arange(ions)),
        drift_indices=sc.array(dims=['particle'], values=np.arange(ions, ions + 2)),
    )
    diffusion = Diffusion(calculate_msd(parser, progress=False))
    diffusion.bayesian_regression(1.0 * sc.Unit('ps'), n_samples=500, progress=False)
    # A^2/ps over 2 d, in cm^2/s.
    slopes = np.asarray(diffusion.gradient.values) / 6 * 1e-4
    bounds = np.quantile(slopes, [0.1585, 0.8415, 0.025, 0.975])

    def holds(truth: float) -> tuple[bool, bool]:
        return bounds[0] < truth < bounds[1], bounds[2] < truth < bounds[3]

    return {'D*': (float(slopes.mean()), float(slopes.std()), holds)}


def rows(program: str, estimate: Callable[[list[Any]], Answer], cases: Any, trials: int) -> Iterator[str]:
    """Yield the rows of the table of one program."""
    for case in cases:
        rng = np.random.default_rng(1)
        d = case.diffusivity / INTERVAL * 1e-4
        truths = {'D*': d, 'Dσ': case.size * d, 'H': 1 / case.size}
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in truths}
        for _ in range(trials):
            walks = [case.walk(rng) for _ in range(case.runs)]
            for name, (value, error, holds) in estimate(walks).items():
                found[name].append((value / truths[name], error / truths[name], *holds(truths[name])))
        for name, trial in found.items():
            if len(trial) > 1:
                value, error, narrow, wide = np.array(trial).T
                spread = value.std()
                yield (
                    f'| {program} | {case.name} | {name} | {len(trial)}/{trials} '
                    f'| {100 * (value.mean() - 1):+.1f} ± {100 * spread / len(trial) ** 0.5:.1f} | {100 * spread:.1f} '
                    f'| {np.sqrt(np.mean(error**2)) / spread:.2f} '
                    f'| {100 * narrow.mean():.0f} | {100 * wide.mean():.0f} |'
                )


def main() -> None:
    """Print the table; programs that are not installed are left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--trials', type=int, default=400)
    parser.add_argument('--peer-trials', type=int, default=40)
    parser.add_argument('--only', default='', help='run the cases whose name contains this')
    options = parser.parse_args()
    warnings.simplefilter('ignore')
    print('| program | walks | quantity | reported | bias (%) | scatter (%) | error/scatter | in 68.3 % | in 95 % |')
    print('| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |')
    for program, estimate, cases, trials in (
        ('aiida-dpasse', ours, CASES, options.trials),
        ('pymatgen', pymatgen, PEER_CASES, options.peer_trials),
        ('kinisi', kinisi, PEER_CASES, options.peer_trials),
    ):
        if trials:
            try:
                for row in rows(program, estimate, [case for case in cases if options.only in case.name], trials):
                    print(row, flush=True)
            except ImportError as error:
                print(f'{program} is left out: {error}', file=sys.stderr)


if __name__ == '__main__':
    main()
