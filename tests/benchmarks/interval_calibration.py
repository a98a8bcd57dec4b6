"""Calibration of the intervals of sigma(300 K) and Ea with several potentials and configurations.

    OMP_NUM_THREADS=1 python tests/benchmarks/interval_calibration.py --trials 400

Every potential and every configuration has a line of its own, drawn about a known one, and every run a thermal error
between 5 and 30 %. The table has how often the intervals contain the known values: 68.3 % and 95 % are right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from aiida_dpasse.transport.conductivity import BOLTZMANN_EV
from aiida_dpasse.transport.ensemble_line import EnsembleLine, Series, fit_ensemble

#: ln(sigma T) at `CENTRE` (K), and activation energy (eV).
HEIGHT, ENERGY, CENTRE = 11.0, 0.25, 700.0
#: Temperature in K of the extrapolated conductivity.
ROOM = 300.0
#: Smallest and largest relative thermal error of a run.
THERMAL = (0.05, 0.3)


@dataclass(frozen=True)
class Case:
    """One design, and the random effects.

    :param potentials: number of potentials.
    :param configurations: number of configurations.
    :param temperatures: number of temperatures between 500 and 1000 K.
    :param model: standard deviations between potentials of ln(sigma T) at `CENTRE`, and of Ea in eV.
    :param configurational: the same between configurations.
    :param missing: fraction of the runs that failed.
    """

    potentials: int
    configurations: int
    temperatures: int
    model: tuple[float, float] = (0.25, 0.02)
    configurational: tuple[float, float] = (0.2, 0.015)
    missing: float = 0.0


CASES = (
    Case(2, 1, 3),
    Case(3, 1, 3),
    Case(3, 1, 5),
    Case(3, 1, 4, missing=0.15),
    Case(3, 1, 4, model=(0.1, 0.01)),
    Case(3, 1, 4, model=(0.5, 0.04)),
    Case(4, 1, 4),
    Case(5, 1, 5),
    Case(1, 3, 4),
    Case(2, 2, 4),
    Case(2, 3, 4),
    Case(3, 2, 3),
    Case(3, 3, 4),
    Case(3, 3, 4, missing=0.15),
    Case(5, 2, 5),
)


def trial(rng: np.random.Generator, case: Case) -> EnsembleLine:
    """Return the line of one study: one run of each potential in each configuration at each temperature."""
    kelvins = np.linspace(500.0, 1000.0, case.temperatures)
    x = 1 / kelvins - 1 / CENTRE

    def lines(number: int, deviations: tuple[float, float]) -> np.ndarray:
        if number == 1:
            return np.zeros((1, len(x)))
        height, energy = rng.normal(scale=deviations, size=(number, 2)).T
        return height[:, None] - energy[:, None] / BOLTZMANN_EV * x

    effects = lines(case.potentials, case.model)[:, None] + lines(case.configurations, case.configurational)
    truth = HEIGHT - ENERGY / BOLTZMANN_EV * x + effects
    errors = np.exp(rng.uniform(*np.log(THERMAL), size=truth.shape))
    found = np.exp(truth + errors * rng.normal(size=truth.shape))
    there = rng.random(truth.shape) >= case.missing
    # Each potential and configuration keeps two runs, and each temperature one.
    there[..., [0, -1]] = True
    series = [
        Series(p, c, kelvins[there[p, c]], found[p, c][there[p, c]], (errors * found)[p, c][there[p, c]])
        for p in range(case.potentials)
        for c in range(case.configurations)
    ]
    there[0, 0] = True
    number = there.sum(axis=(0, 1))
    pooled = np.where(there, found, 0).sum(axis=(0, 1)) / number
    thermal = np.sqrt(np.where(there, (errors * found) ** 2, 0).sum(axis=(0, 1))) / number
    return fit_ensemble(kelvins, pooled, thermal, series)


def coverage(case: Case, trials: int, seed: int = 1) -> np.ndarray:
    """Return the fractions of intervals that contain the truth, [[sigma 68 %, 95 %], [Ea 68 %, 95 %]]."""
    rng, inside = np.random.default_rng(seed), []
    room = np.exp(HEIGHT - ENERGY / BOLTZMANN_EV * (1 / ROOM - 1 / CENTRE))
    for _ in range(trials):
        fit = trial(rng, case)
        limits = [[fit.interval(ROOM, level)[1:] for level in (0.683, 0.95)]]
        limits += [[fit.energy_interval(level)[1:] for level in (0.683, 0.95)]]
        inside.append(
            [[low < value < high for low, high in pair] for pair, value in zip(limits, (room, ENERGY), strict=True)]
        )
    return np.mean(inside, axis=0)


def rows(trials: int) -> Iterator[str]:
    """Yield the rows of the table."""
    for case in CASES:
        percent = 100 * coverage(case, trials)
        several = [
            f'{height:g}, {1000 * energy:g} meV' if number > 1 else '-'
            for number, (height, energy) in (
                (case.potentials, case.model),
                (case.configurations, case.configurational),
            )
        ]
        yield (
            f'| {case.potentials} | {case.configurations} | {case.temperatures} | {several[0]} | {several[1]} '
            f'| {100 * case.missing:.0f} % | {percent[0, 0]:.0f} | {percent[0, 1]:.0f} '
            f'| {percent[1, 0]:.0f} | {percent[1, 1]:.0f} |'
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--trials', type=int, default=400)
    print(
        '| potentials | structures | T | spread of potentials | of structures | missing | σ 68 | σ 95 | Ea 68 | Ea 95 |'
    )
    print('| ---: | ---: | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: |')
    for row in rows(parser.parse_args().trials):
        print(row, flush=True)


if __name__ == '__main__':
    main()
