"""Driver: compute the statistics of a trajectory where it is stored, with limited memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aiida_dpasse.drivers.job import OUTPUT, read_job, write_result
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.transport.cages import find_cages
from aiida_dpasse.transport.maps import van_hove_maps
from aiida_dpasse.transport.moments import moments
from aiida_dpasse.transport.tracks import Tracks

STATISTICS = 'statistics.npz'


class MissingFramesError(ValueError):
    """The files lack frames that were written."""


def read_tracks(job: dict[str, Any]) -> tuple[Tracks, int]:
    """Read the trajectory files of a job.

    :param job: content of the job file.
    :returns: the tracks of the ions, and the number of truncated frames.
    :raises ValueError: if the trajectory belongs to another structure.
    :raises MissingFramesError: if required frames are missing.
    """
    found = 0
    tracks = Tracks(job['symbols'], job['masses'], [job['ion']], job['max_frames'], job['sites'])
    reader = DumpReader(job['trajectories'])
    for step, cell, positions in reader.frames(tracks.needs):
        if job['last_step'] is not None and step > job['last_step']:
            break
        found += 1
        if positions is None:
            tracks.pass_over()
            continue
        if len(positions) != len(job['symbols']):
            counts = f'{len(positions)} atoms and the structure {len(job["symbols"])}'
            raise ValueError(f'The frame of step {step} holds {counts}: give the structure that was simulated.')
        tracks.wrapped = reader.wrapped
        tracks.add(step, cell, positions)
    if interval := job.get('trajectory_interval'):
        first, last = job['first_step'], job['last_step']
        due = len(range(-(-first // interval) * interval, last + 1, interval))
        if found < due:
            raise MissingFramesError(f'The trajectory holds {found} of {due} frames of the steps {first} to {last}.')
    return tracks, reader.dropped


def analyse(job: dict[str, Any]) -> dict[str, Any]:
    """Compute the statistics of one run and write its arrays.

    :param job: content of the job file.
    :returns: numbers of the run, with times in ps; or ``error``, one sentence, if there are too few frames, and
        ``damaged`` if frames are missing.
    """
    try:
        tracks, dropped = read_tracks(job)
        interval = tracks.gap() * job['timestep'] * 1e-3
    except MissingFramesError as exception:
        return {'error': str(exception), 'damaged': True}
    except ValueError as exception:
        return {'error': str(exception)}
    positions = tracks.positions()
    frames, ions, _ = positions.shape
    cell = np.mean(tracks.cells, axis=0)
    Path(OUTPUT).mkdir(exist_ok=True)
    arrays = moments(positions, interval)
    if job['van_hove_range'] is not None:
        arrays |= van_hove_maps(positions, cell, interval, job['van_hove_range'])
    np.savez(Path(OUTPUT) / STATISTICS, **arrays)
    return {
        'error': None,
        'ion': job['ion'],
        'charge': job['charge'],
        'ions': ions,
        'frames': frames,
        'frames_cut_short': dropped,
        'interval_ps': interval,
        'duration_ps': interval * (frames - 1),
        'exchanges': find_cages(positions, cell, interval)[0].to_dict(),
        **tracks.summary(),
    }


def main(arguments: list[str]) -> int:
    """Run the analysis of the job."""
    write_result(analyse(read_job(arguments)))
    return 0
