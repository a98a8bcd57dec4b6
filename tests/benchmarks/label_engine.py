"""What AiiDA's engine and our own work cost for each labelled frame, by the number of frames in a job.

In a profile that `aiida-dpasse setup` has seen:
    verdi -p quickstart run tests/benchmarks/label_engine.py

The calculator is free of cost (Lennard-Jones on two atoms). What is told is the wall time of `dpasse.label` less the
time that its jobs themselves take, for each frame, and the ratio to that of one frame a job.
"""

from __future__ import annotations

import time

import numpy as np
from aiida import load_profile, orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory
from ase import Atoms

from aiida_dpasse.data.frames import FramesData

#: Frames in all, and frames in a job.
CASES = ((5, 1), (50, 10), (500, 100), (2000, 1000))


def frames(number: int, seed: int) -> FramesData:
    """Pairs of argon atoms at different distances."""
    distances = np.random.default_rng(seed).uniform(3.5, 5.0, number)
    return FramesData.from_ase([Atoms('Ar2', [[0, 0, 0], [0, 0, r]], cell=[12] * 3, pbc=True) for r in distances])


def main() -> None:
    """Run the cases and print the table."""
    chain = WorkflowFactory('dpasse.label')
    first = 0.0
    print('frames a job  frames  jobs  wall (s)  in jobs (s)  engine (ms a frame)  of one a job')
    for number, batch in CASES:
        builder = chain.get_builder_from_protocol(
            {'python': 'python@localhost'},
            protocol='fast',
            overrides={'batch_size': batch},
            frames=frames(number, batch),
            calculator=orm.Dict({'name': 'lj', 'sigma': 3.4, 'epsilon': 0.01, 'rc': 6.0}),
        )
        start = time.monotonic()
        _, node = run_get_node(builder)
        wall = time.monotonic() - start
        assert node.is_finished_ok, node.exit_message
        jobs = [call for call in node.called_descendants if isinstance(call, orm.CalcJobNode)]
        inside = sum(job_seconds(job) for job in jobs) / builder.max_concurrent
        cost = (wall - inside) / number
        first = first or cost
        print(
            f'{batch:12d}  {number:6d}  {len(jobs):4d}  {wall:8.1f}  {inside:11.1f}  {1000 * cost:19.2f}  '
            f'{cost / first:12.4f}'
        )


def job_seconds(job: orm.CalcJobNode) -> float:
    """Seconds that the driver ran, from the times of its files."""
    folder = job.outputs.remote_folder
    with job.computer.get_transport() as transport:
        files = transport.listdir_withattributes(folder.get_remote_path())
    times = [entry['attributes'].st_mtime for entry in files]
    return max(times) - min(times)


if __name__ == '__main__':
    load_profile()
    main()
