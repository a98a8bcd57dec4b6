"""What AiiDA's engine and our own work cost for each labelled frame, by the number of frames in a job.

In a profile that `aiida-dpasse setup` has seen:
    verdi -p quickstart run tests/benchmarks/label_engine.py

The calculator is free of cost (Lennard-Jones on two atoms). It reports for each frame the wall time of
`dpasse.label` less the time in which a job of it ran, with the ratio to that of one frame a job, and the processor time
of the engine alone, which is the cost that remains when many jobs run at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from aiida import load_profile, orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory
from ase import Atoms

from aiida_dpasse.data.frames import FramesData

#: Frames in all, and frames in a job.
CASES = ((20, 1), (200, 10), (2000, 100), (4000, 1000))
#: Jobs on the way at once.
CONCURRENT = 10


def frames(number: int, seed: int) -> FramesData:
    """Pairs of argon atoms at different distances."""
    distances = np.random.default_rng(seed).uniform(3.5, 5.0, number)
    return FramesData.from_ase([Atoms('Ar2', [[0, 0, 0], [0, 0, r]], cell=[12] * 3, pbc=True) for r in distances])


def main() -> None:
    """Run the cases and print the table."""
    chain = WorkflowFactory('dpasse.label')
    first = 0.0
    print(
        'frames a job  frames  jobs  wall (s)  in jobs (s)  engine (ms a frame)  of one a job  processor (ms a frame)'
    )
    for number, batch in CASES:
        builder = chain.get_builder_from_protocol(
            {'python': 'python@localhost'},
            protocol='fast',
            overrides={'batch_size': batch},
            frames=frames(number, batch),
            calculator=orm.Dict({'name': 'lj', 'sigma': 3.4, 'epsilon': 0.01, 'rc': 6.0}),
        )
        builder.max_concurrent = CONCURRENT
        start, before = time.monotonic(), time.process_time()
        _, node = run_get_node(builder)
        wall, busy = time.monotonic() - start, time.process_time() - before
        assert node.is_finished_ok, node.exit_message
        jobs = [call for call in node.called_descendants if isinstance(call, orm.CalcJobNode)]
        inside = seconds_covered(job_interval(job) for job in jobs)
        cost = (wall - inside) / number
        first = first or cost
        print(
            f'{batch:12d}  {number:6d}  {len(jobs):4d}  {wall:8.1f}  {inside:11.1f}  {1000 * cost:19.2f}  '
            f'{cost / first:12.4f}  {1000 * busy / number:22.2f}'
        )


def seconds_covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Seconds that lie in at least one interval."""
    total, until = 0.0, 0.0
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def job_interval(job: orm.CalcJobNode) -> tuple[float, float]:
    """When the driver began and ended, from the times of its files."""
    folder = job.outputs.remote_folder
    with job.computer.get_transport() as transport:
        files = transport.listdir_withattributes(folder.get_remote_path())
    times = [entry['attributes'].st_mtime for entry in files]
    return min(times), max(times)


if __name__ == '__main__':
    load_profile()
    main()
