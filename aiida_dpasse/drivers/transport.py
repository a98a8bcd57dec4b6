"""Driver: reads the trajectory of one run where it lies, and leaves only its displacement statistics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.drivers.job import OUTPUT, read_job, write_result
from aiida_dpasse.lammps.dump import DumpReader, Frame
from aiida_dpasse.transport.displacement import collective_square_displacement, mean_square_displacement
from aiida_dpasse.transport.vanhove import distinct_part, non_gaussian_parameter, self_part

Array = NDArray[np.float64]

STATISTICS = 'statistics.npz'
#: So many coordinates are kept: 100 MB, and some five times as much while they are transformed.
LARGEST = 12_000_000
#: So many distances are computed for the distinct part of the van Hove function, at each lag.
MOST_PAIRS = 20_000_000
#: Lags of the van Hove functions, as fractions of the run.
VAN_HOVE_LAGS = (1 / 64, 1 / 16, 1 / 4, 1 / 2)
BIN = 0.1


@dataclass(frozen=True)
class Track:
    """Positions (frames, ions, 3) in A of the mobile ions relative to the framework's centre of mass.

    ``interval`` is in MD steps, ``cell`` (3, 3) A and ``volume`` A^3 are means, ``drift`` (3,) A is the way of that centre
    and ``framework`` A the largest root mean square displacement of the framework's atoms. Of ``read`` frames every
    ``stride``-th was kept.
    """

    positions: Array
    interval: int
    cell: Array
    volume: float
    drift: Array
    framework: float
    read: int
    stride: int


def follow(frames: Iterable[Frame], mobile: Any, masses: Any, largest: int = LARGEST) -> Track:
    """Follow the mobile ions through ``frames`` of (step, cell, unwrapped positions), in bounded memory.

    Displacements are taken in fractional coordinates and given in the mean cell, so that a cell that breathes (NPT) moves
    no ion. When more than ``largest`` coordinates are kept, every second frame is dropped, and from then on read over.

    :param mobile: mask (atoms,) of the ions that are followed; the others are the framework, or all if there is none.
    :param masses: (atoms,) amu.
    :raises ValueError: if there are fewer than two frames, frames are missing, or the number of atoms is another.
    """
    chosen = np.asarray(mobile, dtype=bool)
    framework = ~chosen if not chosen.all() else chosen
    weights = np.asarray(masses, dtype=float)[framework]
    weights = weights / weights.sum()
    kept: list[Array] = []
    stride, interval, read, first, last = 1, 0, 0, 0, 0
    cells, volume, displacement = np.zeros((3, 3)), 0.0, 0.0
    start = centre = np.zeros(3)
    before = np.zeros((0, 3))
    for step, cell, positions in frames:
        if len(positions) != len(chosen):
            raise ValueError(
                f'The frame of step {step} holds {len(positions)} atoms and the structure {len(chosen)}: give the structure '
                'that was simulated.'
            )
        if read == 1:
            interval = step - last
        if read and step != first + read * interval:
            raise ValueError(f'Frames are missing between steps {last} and {step}: give all segments of the run, in order.')
        scaled = positions @ np.linalg.inv(cell)
        rigid = scaled[framework]
        centre = weights @ rigid
        if not read:
            first, start, before = step, centre, rigid
        moved = (rigid - before - (centre - start)) @ cell
        displacement = max(displacement, float(np.sqrt(np.mean(np.sum(moved**2, axis=1)))))
        cells, volume = cells + cell, volume + abs(np.linalg.det(cell))
        if read % stride == 0:
            kept.append(scaled[chosen] - centre)
            if len(kept) * kept[0].size > largest and len(kept) > 2:
                kept, stride = kept[::2], 2 * stride
        read, last = read + 1, step
    if len(kept) < 2:
        raise ValueError(f'The trajectory holds {read} frames: run longer, or shorten `trajectory_interval`.')
    mean = cells / read
    return Track(
        positions=np.stack(kept) @ mean,
        interval=interval * stride,
        cell=mean,
        volume=volume / read,
        drift=(centre - start) @ mean,
        framework=displacement,
        read=read,
        stride=stride,
    )


def statistics_of(track: Track, charges: Any, interval: float) -> dict[str, Array]:
    """Return the arrays that travel home: mean square displacements up to half the run, and van Hove functions.

    :param charges: (ions,) elementary charges.
    :param interval: ps between two kept frames.
    """
    frames, ions, _ = track.positions.shape
    count = frames // 2 + 1
    lags = sorted({max(1, int(fraction * (frames - 1))) for fraction in VAN_HOVE_LAGS})
    # Nearest images are right up to half the shortest distance between the faces of the cell.
    heights = track.volume / np.linalg.norm(np.cross(np.roll(track.cell, -1, axis=0), np.roll(track.cell, -2, axis=0)), axis=1)
    edges = np.arange(0.0, max(0.5 * heights.min(), 2 * BIN), BIN)
    origins = max(1, MOST_PAIRS // ions**2)
    found = {
        'lags_ps': np.arange(count) * interval,
        'msd_A2': mean_square_displacement(track.positions)[:count],
        'collective_A2': collective_square_displacement(track.positions, charges)[:count],
        'van_hove_lags_ps': np.array(lags) * interval,
        'van_hove_edges_A': edges,
        'van_hove_self_per_A': np.array([self_part(track.positions, lag, edges) for lag in lags]),
        'non_gaussian': np.array([non_gaussian_parameter(track.positions, lag) for lag in lags]),
    }
    if ions > 1:
        parts = [distinct_part(track.positions, track.cell, lag, edges, min(origins, 50)) for lag in lags]
        found['van_hove_distinct'] = np.array(parts)
    return found


def main(arguments: list[str]) -> int:
    """Read the segments of one run; write ``output/statistics.npz`` and ``output.json``."""
    job = read_job(arguments)
    reader = DumpReader(job['trajectories'])
    try:
        track = follow(reader, job['mobile'], job['masses'])
    except ValueError as exception:
        write_result({'error': str(exception), 'results': None})
        return 0
    interval = track.interval * job['timestep'] / 1000
    frames, ions, _ = track.positions.shape
    Path(OUTPUT).mkdir(exist_ok=True)
    np.savez_compressed(Path(OUTPUT) / STATISTICS, **statistics_of(track, job['charges'], interval))
    results = {
        'frames': frames,
        'frames_read': track.read,
        'frames_dropped': reader.dropped,
        'interval_ps': interval,
        'duration_ps': (frames - 1) * interval,
        'ions': ions,
        'volume_A3': track.volume,
        'framework_drift_A': float(np.linalg.norm(track.drift)),
        'framework_displacement_A': track.framework,
    }
    write_result({'error': None, 'results': results})
    return 0
