"""Export of a study with its complete provenance to a file that other profiles can import."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aiida import orm
from aiida.common.log import LOG_LEVEL_REPORT, override_log_level
from aiida.tools.archive import create_archive

#: Everything that contributed to a result, whichever process called it; nothing that was derived from it later.
TRAVERSAL = {
    'create_backward': True,
    'call_calc_backward': True,
    'call_work_backward': True,
    'return_backward': False,
    'input_calc_forward': False,
    'input_work_forward': False,
}


def export_archive(processes: Iterable[orm.ProcessNode], path: str | Path) -> Path:
    """Write processes with their complete graph and the logs of their steps to an archive, which may exist already.

    Results given as inputs are exported with the processes that created them, so that the provenance rule also holds in
    the archive. Neither credentials nor licensed files are written: aiida-vasp stores the content of a POTCAR outside
    the graph.

    :param processes: terminated processes.
    :param path: path of the archive.
    :return: ``path``.
    :raises ValueError: if a process is still running, since its archive would be incomplete.
    """
    processes = list(processes)
    for process in processes:
        if not process.is_terminated:
            raise ValueError(f'{process.process_label}<{process.pk}> still runs: export it when it has ended.')
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # AiiDA logs forty lines of settings and counts; its warnings are still shown.
    with override_log_level(LOG_LEVEL_REPORT):
        create_archive(
            processes,
            filename=path,
            overwrite=True,
            include_comments=False,
            include_logs=True,
            include_authinfos=False,
            **TRAVERSAL,
        )
    return path
