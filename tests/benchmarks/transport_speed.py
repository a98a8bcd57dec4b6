"""Processor times of MSD, spectra and van Hove functions, and ratios to other programs in one run.

In an environment with the optional dependencies `comparators` beside this package:
    OMP_NUM_THREADS=1 python tests/benchmarks/transport_speed.py

What is timed is each program's public way from arrays or structures in memory to the curve. kinisi is given few lags,
in its favour, since its time grows with their number.
"""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from aiida_dpasse.transport.cages import find_cages
from aiida_dpasse.transport.displacement import mean_square_displacement
from aiida_dpasse.transport.moments import moments
from aiida_dpasse.transport.neighbours import pair_counts
from aiida_dpasse.transport.spectrum import power
from aiida_dpasse.transport.vanhove import distinct_part, self_part

FRAMES, IONS, BOX = 20_000, 1_000, 30.0
LAGS_OF_KINISI = 20
VAN_HOVE_FRAMES, VAN_HOVE_IONS, ORIGINS, SKIP = 400, 48, 50, 50


def seconds(function: Callable[[], Any]) -> float:
    """Processor time of a call in one thread, which other work on the machine does not change."""
    start = time.process_time()
    function()
    return time.process_time() - start


def walk(frames: int, ions: int, scale: float) -> Any:
    """A walk of ions, (frames, ions, 3) A."""
    rng = np.random.default_rng(1)
    return rng.random((ions, 3)) * BOX + np.cumsum(rng.normal(scale=scale, size=(frames, ions, 3)), axis=0)


def analyzer(positions: Any, skip: int) -> Any:
    """Return pymatgen's analyzer of lithium that walks beside two sulphur atoms at rest, from its displacements."""
    from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer
    from pymatgen.core import Structure

    ions = positions.shape[1]
    crystal = Structure(np.eye(3) * BOX, ['Li'] * ions + ['S'] * 2, np.concatenate([positions[0] / BOX, np.eye(3)[:2]]))
    ways = np.concatenate([positions - positions[0], np.zeros((len(positions), 2, 3))], axis=1)
    return DiffusionAnalyzer(crystal, np.moveaxis(ways, 0, 1), 'Li', 600, 100, skip)


def by_mdanalysis(positions: Any) -> Any:
    """MSD by MDAnalysis, by fast Fourier transform."""
    import MDAnalysis as mda  # noqa: N813
    from MDAnalysis.analysis.msd import EinsteinMSD

    universe = mda.Universe.empty(positions.shape[1], trajectory=True)
    universe.load_new(positions.astype(np.float32), order='fac')
    return EinsteinMSD(universe, fft=True).run().results.timeseries


def by_kinisi(positions: Any) -> Any:
    """MSD by kinisi at a few lags, from displacements relative to a framework at rest."""
    import scipp as sc
    from kinisi.displacement import calculate_msd
    from kinisi.parser import Parser

    frames, ions, _ = positions.shape
    units = np.concatenate([positions / BOX % 1, np.zeros((frames, 2, 3))], axis=1)
    parser = Parser(
        coords=sc.array(dims=['time', 'particle', 'dimension'], values=units),
        latt=sc.array(dims=['time', 'row', 'column'], values=np.tile(np.eye(3) * BOX, (frames, 1, 1)), unit='angstrom'),
        time_step=1.0 * sc.Unit('ps'),
        step_skip=1 * sc.units.dimensionless,
        dt=sc.array(dims=['time interval'], values=1.0 * np.arange(1, LAGS_OF_KINISI + 1), unit='ps'),
        specie_indices=sc.array(dims=['particle'], values=np.arange(ions)),
        drift_indices=sc.array(dims=['particle'], values=np.arange(ions, ions + 2)),
    )
    return calculate_msd(parser, progress=False)


def main() -> None:
    """Run all and print the tables."""
    warnings.simplefilter('ignore')
    positions = walk(FRAMES, IONS, 0.2)
    half = FRAMES // 2 + 1
    ours = min(seconds(lambda: mean_square_displacement(positions, half)) for _ in range(2))
    print(f'| MSD of {IONS} ions x {FRAMES} frames | time (s) | ratio to aiida-dpasse |\n| --- | ---: | ---: |')
    print(f'| aiida-dpasse, {half} lags | {ours:.2f} | 1 |')
    for name, function in (
        ('pymatgen-analysis-diffusion', lambda: analyzer(positions, 1)),
        ('MDAnalysis, FFT', lambda: by_mdanalysis(positions)),
        (f'kinisi, {LAGS_OF_KINISI} lags', lambda: by_kinisi(positions)),
    ):
        taken = seconds(function)
        print(f'| {name} | {taken:.2f} | {taken / ours:.1f} |', flush=True)

    print('\n| aiida-dpasse, same trajectory | time (s) |\n| --- | ---: |')
    for name, function in (
        ('MSD, collective displacement and power spectra', lambda: moments(positions, 1.0)),
        ('power spectra alone', lambda: power(positions, 1.0)),
        ('sites and exchanges of 4000 frames', lambda: find_cages(positions[:4000], np.eye(3) * BOX, 1.0)),
    ):
        print(f'| {name} | {seconds(function):.2f} |', flush=True)

    tracemalloc.start()
    moments(positions, 1.0)
    print(f'| largest memory of the first beside the trajectory | {tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB |')
    tracemalloc.stop()

    print('\n| pairs up to 8 Å of one time origin, of ions at the same density | time (s) |\n| --- | ---: |')
    for ions in (1000, 8000, 27_000):
        edge = BOX * (ions / 1000) ** (1 / 3)
        early = np.random.default_rng(2).random((ions, 3)) * edge
        taken = seconds(partial(pair_counts, early + 0.5, early, np.eye(3) * edge, np.arange(0, 8.1, 0.2), True))
        print(f'| {ions} ions in {edge:.0f} Å | {taken:.3f} |', flush=True)

    from pymatgen.analysis.diffusion.aimd.van_hove import VanHoveAnalysis

    positions = walk(VAN_HOVE_FRAMES, VAN_HOVE_IONS, 0.2)
    edges, lags = np.linspace(0, 10, 101), np.arange(0, VAN_HOVE_FRAMES - ORIGINS, SKIP)
    prepared = analyzer(positions, 10)

    def both() -> None:
        self_part(positions, lags, edges, origins=ORIGINS)
        distinct_part(positions, np.eye(3) * BOX, lags, edges, origins=ORIGINS)

    ours = min(seconds(both) for _ in range(3))
    theirs = seconds(lambda: VanHoveAnalysis(prepared, avg_nsteps=ORIGINS, rmax=10, step_skip=SKIP, species=['Li']))
    what = f'G_s and G_d, {VAN_HOVE_IONS} ions, {len(lags)} lags, {ORIGINS} origins'
    print(f'\n| {what} | time (s) | ratio to aiida-dpasse |')
    print(f'| --- | ---: | ---: |\n| aiida-dpasse | {ours:.3f} | 1 |')
    print(f'| pymatgen-analysis-diffusion | {theirs:.1f} | {theirs / ours:.0f} |')


if __name__ == '__main__':
    main()
