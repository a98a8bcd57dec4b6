"""Processor times of reading a LAMMPS dump: this package, MDAnalysis, and a bare parser of the same numbers.

python tests/benchmarks/read_dump.py [MEGABYTES]
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from aiida_dpasse.cli.trajectory import Source, read_tracks
from aiida_dpasse.drivers import transport
from aiida_dpasse.lammps.dump import DumpReader

ATOMS = 1000
#: Largest number of frames that the job keeps: of 200 MB every sixteenth.
KEPT = 400


def write(path: Path, megabytes: float) -> int:
    """Write a dump of this size, and return its number of frames: a walk of 200 frames, forth and back."""
    rng = np.random.default_rng(0)
    places, bodies, frames = rng.random((ATOMS, 3)) * 30, [], 0
    for _ in range(200):
        places += rng.normal(scale=0.1, size=places.shape)
        rows = (f'{i} {1 + i % 2} {x:.6f} {y:.6f} {z:.6f}\n' for i, (x, y, z) in enumerate(places.tolist(), 1))
        bodies.append('0 30\n' * 3 + 'ITEM: ATOMS id type xu yu zu\n' + ''.join(rows))
    bodies += bodies[::-1]
    with path.open('w') as handle:
        while handle.tell() < megabytes * 1e6:
            handle.write(f'ITEM: TIMESTEP\n{frames * 100}\nITEM: NUMBER OF ATOMS\n{ATOMS}\nITEM: BOX BOUNDS pp pp pp\n')
            handle.write(bodies[frames % len(bodies)])
            frames += 1
    return frames


def thinned(path: Path) -> int:
    """Read the frames as the job of `dpasse.transport` does, which thins them whenever there are too many."""
    half = ATOMS // 2
    job = {'symbols': ['S', 'Li'] * half, 'masses': [32.0, 7.0] * half, 'ion': 'Li', 'max_frames': KEPT, 'sites': None}
    return transport.read_tracks({**job, 'trajectories': [path], 'last_step': None})[0].seen


def bare(path: Path) -> int:
    """Convert the three columns of each frame with numpy, without any check."""
    frames = 0
    with path.open('rb') as handle:
        while len(list(islice(handle, 9))) == 9:
            words = b''.join(islice(handle, ATOMS)).split()
            np.array([words[2::5], words[3::5], words[4::5]], dtype=float)
            frames += 1
    return frames


def mdanalysis(path: Path) -> int:
    """Read the frames with MDAnalysis."""
    import MDAnalysis as mda  # noqa: N813

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        universe = mda.Universe(str(path), format='LAMMPSDUMP', topology_format='LAMMPSDUMP')
        return sum(1 for _ in universe.trajectory)


def main() -> None:
    """Print the table."""
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 200.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'a.lammpstrj'
        frames = write(path, megabytes)
        programs: dict[str, Callable[[], int]] = {
            'aiida-dpasse, frames': lambda: sum(1 for _ in DumpReader([path])),
            'aiida-dpasse, tracks of the ions': lambda: read_tracks(Source((path,), 1.0), ['1'])[0].seen,
            f'aiida-dpasse, job that keeps at most {KEPT} frames': lambda: thinned(path),
            'bare parser': lambda: bare(path),
            'MDAnalysis': lambda: mdanalysis(path),
        }
        print(f'| reading {megabytes:g} MB, {frames} frames of {ATOMS} atoms | time (s) | ratio |')
        print('| --- | ---: | ---: |')
        first = None
        for name, read in programs.items():
            start = time.process_time()
            assert read() == frames
            spent = time.process_time() - start
            first = first or spent
            print(f'| {name} | {spent:.1f} | {spent / first:.2f} |', flush=True)


if __name__ == '__main__':
    main()
