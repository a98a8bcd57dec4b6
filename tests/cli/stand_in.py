"""A study of one job, run by the tests as a script of its own: submits, watches and stops as the quickstart does."""

from __future__ import annotations

import sys
from pathlib import Path

from aiida import load_profile, orm
from aiida.engine import ProcessBuilder
from stand_in_chain import StudyOfOneJob

from aiida_dpasse.cli.daemon import DaemonKeeper
from aiida_dpasse.cli.setup import local_computer
from aiida_dpasse.cli.study import find_study, sole_watcher, start_study
from aiida_dpasse.cli.watch import watch

PROCESS_TYPE = StudyOfOneJob.build_process_type()


def build(directory: Path, seconds: float) -> ProcessBuilder:
    """Return 2 * 3 + 4, by a job that leaves a line in `ran.log` and then sleeps."""
    computer, _ = local_computer('localhost')
    code = orm.InstalledCode(
        label='add',
        computer=computer,
        filepath_executable='/bin/bash',
        prepend_text=f'echo ran >> {directory}/ran.log\nsleep {seconds}',
    )
    builder = StudyOfOneJob.get_builder()
    builder.x, builder.y, builder.z, builder.code = orm.Int(2), orm.Int(3), orm.Int(4), code.store()
    return builder


def main(directory: Path, seconds: float) -> None:
    """Bring the study to its end."""
    keeper = DaemonKeeper()
    with sole_watcher(directory):
        node = find_study(directory, PROCESS_TYPE)
        if node is None:
            keeper.start()
            node = start_study(directory, lambda: build(directory, seconds))
        watch(node, keeper)
        keeper.stop()
    print(f'result {node.outputs.result.value}')


if __name__ == '__main__':
    load_profile()
    main(Path(sys.argv[1]), float(sys.argv[2]))
