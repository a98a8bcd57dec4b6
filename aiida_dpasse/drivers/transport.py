"""Driver beside a trajectory: reads it where it lies, in bounded memory, and leaves only statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aiida_dpasse.drivers.job import OUTPUT, read_job, write_result
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.transport.maps import van_hove_maps
from aiida_dpasse.transport.moments import moments
from aiida_dpasse.transport.tracks import Tracks

STATISTICS = 'statistics.npz'


class MissingFramesError(ValueError):
    """Frames that were written are not in the files."""


def read_tracks(job: dict[str, Any]) -> tuple[Tracks, int]:
    """Return the tracks of the trajectory files of ``job``, and the number of frames that were cut short.

    :raises ValueError: if the trajectory is one of another structure.
    :raises MissingFramesError: if frames are missing that have to be there.
    """
    found = 0
    tracks = Tracks(job['symbols'], job['masses'], [job['ion']], job['max_frames'], job['sites'])
    reader = DumpReader(job['trajectories'])
    for step, cell, positions in reader:
        if job['last_step'] is not None and step > job['last_step']:
            break
        if len(positions) != len(job['symbols']):
            counts = f'{len(positions)} atoms and the structure {len(job["symbols"])}'
            raise ValueError(f'The frame of step {step} holds {counts}: give the structure that was simulated.')
        tracks.wrapped = reader.wrapped
        tracks.add(step, cell, positions)
        found += 1
    if interval := job.get('trajectory_interval'):
        first, last = job['first_step'], job['last_step']
        due = len(range(-(-first // interval) * interval, last + 1, interval))
        if found < due:
            raise MissingFramesError(f'The trajectory holds {found} of {due} frames of the steps {first} to {last}.')
    return tracks, reader.dropped


def analyse(job: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of one run and write its arrays; with ``error``, one sentence, if there are too few frames."""
    try:
        tracks, dropped = read_tracks(job)
        interval = tracks.gap() * job['timestep'] * 1e-3
    except MissingFramesError as exception:
        return {'error': str(exception), 'damaged': True}
    except ValueError as exception:
        return {'error': str(exception)}
    positions = tracks.positions()
    frames, ions, _ = positions.shape
    Path(OUTPUT).mkdir(exist_ok=True)
    arrays = moments(positions, interval)
    if job['van_hove_range'] is not None:
        arrays |= van_hove_maps(positions, np.mean(tracks.cells, axis=0), interval, job['van_hove_range'])
    np.savez(Path(OUTPUT) / STATISTICS, **arrays)  # type: ignore[arg-type]
    return {
        'error': None,
        'ion': job['ion'],
        'charge': job['charge'],
        'ions': ions,
        'frames': frames,
        'frames_cut_short': dropped,
        'interval_ps': interval,
        'duration_ps': interval * (frames - 1),
        **tracks.summary(),
    }


def main(arguments: list[str]) -> int:
    """Run the job."""
    write_result(analyse(read_job(arguments)))
    return 0
