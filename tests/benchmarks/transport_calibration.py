"""How often the error bars of D*, D_sigma and H hold the truth, here and by other programs.

With this package alone, or beside the optional dependencies `comparators`:
    OMP_NUM_THREADS=1 python tests/benchmarks/transport_calibration.py --trials 400 --peer-trials 40

Lattice walks of single ions and of rigid clusters. Told are the bias relative to the truth, the error that is told
relative to the scatter of the trials, and how often value and error hold the truth: 68.3 % and 95 % are right.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from walks import lattice_walk

from aiida_dpasse.transport.diffusion import pool, take_statistics

LENGTH, INTERVAL, BOX = 2.5, 0.1, 40.0
#: Frames, clusters, ions in a cluster, replicas, hops a frame, rattling in A.
CASES = (
    (400, 16, 1, 1, 0.1, 0.0),
    (1000, 16, 1, 1, 0.1, 0.0),
    (4000, 16, 1, 1, 0.02, 0.2),
    (400, 64, 1, 1, 0.1, 0.2),
    (400, 8, 4, 1, 0.1, 0.0),
    (1000, 8, 4, 2, 0.1, 0.2),
    (300, 32, 2, 4, 0.1, 0.0),
)
PEER_CASES = ((400, 16, 1, 1, 0.1, 0.0), (400, 8, 4, 1, 0.1, 0.0))
Answer = dict[str, tuple[float, float]]


def ours(walks: list[Any]) -> Answer:
    """Value and error of what is determined."""
    found = pool([take_statistics(walk, INTERVAL, 1000.0) for walk in walks], LENGTH)
    answer = {'D*': found.tracer, 'Dσ': found.collective, 'H': found.haven}
    return {name: (one.value, one.error) for name, one in answer.items() if one is not None}


def pymatgen(walks: list[Any]) -> Answer:
    """The same by pymatgen-analysis-diffusion, whose Haven ratio has no error."""
    from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer
    from pymatgen.core import Structure

    positions = walks[0]
    ions = positions.shape[1]
    places = np.random.default_rng(0).random((ions + 2, 3))
    crystal = Structure(np.eye(3) * BOX, ['Li'] * ions + ['S'] * 2, places)
    ways = np.concatenate([positions - positions[0], np.zeros((len(positions), 2, 3))], axis=1)
    found = DiffusionAnalyzer(crystal, np.moveaxis(ways, 0, 1), 'Li', 600, 1, INTERVAL * 1000)
    return {
        'D*': (found.diffusivity, found.diffusivity_std_dev),
        'Dσ': (found.chg_diffusivity, found.chg_diffusivity_std_dev),
    }


def kinisi(walks: list[Any]) -> Answer:
    """The same by kinisi: mean and standard deviation of its posterior, from where ions have hopped once."""
    import scipp as sc
    from kinisi.diffusion import Diffusion
    from kinisi.displacement import calculate_msd, calculate_mstd
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
    answer = {}
    for name, group in (
        ('D*', calculate_msd(parser, progress=False)),
        ('Dσ', calculate_mstd(parser, progress=False)),
    ):
        diffusion = Diffusion(group)
        diffusion.bayesian_regression(1.0 * sc.Unit('ps'), n_samples=500, progress=False)
        # A^2/ps over 2 d, in cm^2/s.
        slopes = np.asarray(diffusion.gradient.values) / 6 * 1e-4
        answer[name] = float(slopes.mean()), float(slopes.std())
    return answer


def rows(program: str, estimate: Callable[[list[Any]], Answer], cases: Any, trials: int) -> Iterator[str]:
    """Yield the rows of the table of one program."""
    for frames, clusters, size, runs, rate, noise in cases:
        rng = np.random.default_rng(frames + clusters)
        d = rate * LENGTH**2 / (6 * INTERVAL) * 1e-4
        truths = {'D*': d, 'Dσ': size * d, 'H': 1 / size}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in truths}
        for _ in range(trials):
            walks = [lattice_walk(rng, frames, clusters, rate, LENGTH, size, noise) for _ in range(runs)]
            for name, (value, error) in estimate(walks).items():
                found[name].append((value / truths[name], error / truths[name]))
        case = f'{program} | {runs} x {frames} | {clusters} x {size}'
        for name, pairs in found.items():
            if pairs:
                value, error = np.array(pairs).T
                score, spread = np.abs(value - 1) / error, value.std()
                told = (
                    f'{len(pairs)}/{trials} | {100 * (value.mean() - 1):+.1f} ± {100 * spread / len(pairs) ** 0.5:.1f}'
                )
                covered = f'{100 * np.mean(score < 1):.1f} | {100 * np.mean(score < 1.96):.1f}'
                yield f'| {case} | {name} | {told} | {np.sqrt(np.mean(error**2)) / spread:.3g} | {covered} |'


def main() -> None:
    """Print the table; programs that are not installed are left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--trials', type=int, default=400)
    parser.add_argument('--peer-trials', type=int, default=40)
    options = parser.parse_args()
    warnings.simplefilter('ignore')
    told = '| told | bias (%) | error/scatter | in 1 σ (%) | in 1.96 σ (%) |'
    print(f'| program | runs x frames | clusters x ions | of {told}')
    print('| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: |')
    for program, estimate, cases, trials in (
        ('aiida-dpasse', ours, CASES, options.trials),
        ('pymatgen', pymatgen, PEER_CASES, options.peer_trials * 5),
        ('kinisi', kinisi, PEER_CASES, options.peer_trials),
    ):
        if trials:
            try:
                for row in rows(program, estimate, cases, trials):
                    print(row, flush=True)
            except ImportError as error:
                print(f'{program} is left out: {error}', file=sys.stderr)


if __name__ == '__main__':
    main()
