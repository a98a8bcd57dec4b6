"""Driver beside a trajectory: reads it where it lies, in bounded memory, and leaves only statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.drivers.job import OUTPUT, read_job, write_result
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.transport.displacement import (
    collective_square_displacement,
    framework_weights,
    mean_square_displacement,
)

STATISTICS = 'statistics.npz'
#: Fewer frames than this make no statistics.
FEWEST_FRAMES = 8


class Tracks:
    """Ways of the mobile ions relative to the framework, thinned out by two whenever they exceed ``limit`` frames.

    They are kept in fractional coordinates: a cell that breathes (NPT) moves no ion. The framework is compared with the
    crystal at fractional ``sites`` (natoms, 3), so that one which fell apart while it was equilibrated is told as well.
    """

    def __init__(self, symbols: list[str], masses: list[float], ion: str, limit: int, sites: Any):
        self.mobile = np.array(symbols) == ion
        self.weights = framework_weights(masses, ~self.mobile)
        self.limit = max(limit, 2 * FEWEST_FRAMES)
        self.stride, self.seen = 1, 0
        self.steps: list[int] = []
        self.ions: list[NDArray[np.float64]] = []
        self.centres: list[NDArray[np.float64]] = []
        self.cells: list[NDArray[np.float64]] = []
        #: Root mean square displacement of the framework's atoms from the crystal's, A.
        self.framework: list[float] = []
        self.sites = np.asarray(sites, dtype=float)

    def add(self, step: int, cell: NDArray[np.float64], positions: NDArray[np.float64]) -> None:
        """Take in one frame."""
        if self.seen % self.stride == 0:
            scaled = positions @ np.linalg.inv(cell)
            centre = self.weights @ scaled
            if not self.steps:
                # Whoever wrote the trajectory chose the images.
                self.sites = self.sites + np.round(scaled - self.sites)
                self.sites -= self.weights @ self.sites
            self.steps.append(step)
            self.centres.append(centre)
            self.ions.append(scaled[self.mobile] - centre)
            self.cells.append(cell)
            moved = np.sum((((scaled - centre - self.sites) @ cell)[~self.mobile]) ** 2, axis=1)
            self.framework.append(float(np.sqrt(moved.mean())) if len(moved) else 0.0)
            if len(self.steps) > self.limit:
                self.stride *= 2
                for name in ('steps', 'ions', 'centres', 'cells', 'framework'):
                    setattr(self, name, getattr(self, name)[::2])
        self.seen += 1


def read_tracks(job: dict[str, Any]) -> tuple[Tracks, int]:
    """Return the tracks of the trajectory files of ``job``, and the number of frames that were cut short.

    :raises ValueError: if the trajectory is one of another structure.
    """
    tracks = Tracks(job['symbols'], job['masses'], job['ion'], job['max_frames'], job['sites'])
    reader = DumpReader(job['trajectories'])
    for step, cell, positions in reader:
        if len(positions) != len(job['symbols']):
            counts = f'{len(positions)} atoms and the structure {len(job["symbols"])}'
            raise ValueError(f'The frame of step {step} holds {counts}: give the structure that was simulated.')
        tracks.add(step, cell, positions)
    return tracks, reader.dropped


def analyse(job: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of one run and write its arrays; with ``error``, one sentence, if there are too few frames."""
    try:
        tracks, dropped = read_tracks(job)
    except ValueError as exception:
        return {'error': str(exception)}
    frames = len(tracks.steps)
    if frames < FEWEST_FRAMES:
        return {'error': f'The trajectory holds {frames} whole frames, at least {FEWEST_FRAMES} are needed.'}
    gaps = np.unique(np.diff(tracks.steps))
    if len(gaps) > 1:
        spread = f'{gaps.min()} to {gaps.max()} steps apart'
        return {'error': f'The frames are {spread} and should be evenly spaced: give all segments of the run.'}
    cells = np.array(tracks.cells)
    cell = cells.mean(axis=0)
    positions, centres = np.array(tracks.ions) @ cell, np.array(tracks.centres) @ cell
    interval = float(gaps[0]) * job['timestep'] * 1e-3
    count = frames // 2 + 1
    charges = np.full(positions.shape[1], float(job['charge']))
    Path(OUTPUT).mkdir(exist_ok=True)
    np.savez(
        Path(OUTPUT) / STATISTICS,
        lag_ps=np.arange(count) * interval,
        msd_A2=mean_square_displacement(positions)[:count],
        collective_A2=collective_square_displacement(positions, charges)[:count],
    )
    return {
        'error': None,
        'ion': job['ion'],
        'charge': job['charge'],
        'ions': positions.shape[1],
        'frames': frames,
        'frames_cut_short': dropped,
        'interval_ps': interval,
        'duration_ps': interval * (frames - 1),
        'volume_A3': float(np.abs(np.linalg.det(cells)).mean()),
        'framework_displacement_A': float(np.mean(tracks.framework[frames // 2 :])),
        'framework_drift_A': float(np.linalg.norm(centres - centres[0], axis=1).max()),
    }


def main(arguments: list[str]) -> int:
    """Run the job."""
    write_result(analyse(read_job(arguments)))
    return 0
