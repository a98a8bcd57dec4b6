"""Export of a study with its complete provenance to a file that other profiles can import."""

from __future__ import annotations

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


def export_archive(process: orm.ProcessNode, path: str | Path) -> Path:
    """Write a process with its complete graph and the logs of its steps to an archive; an existing file is overwritten.

    Results given as inputs are exported with the processes that created them, so that the provenance rule also holds in
    the archive. Neither credentials nor licensed files are written: aiida-vasp stores the content of a POTCAR outside
    the graph.

    :param process: terminated process.
    :param path: path of the archive.
    :return: ``path``.
    :raises ValueError: if ``process`` is still running, since its archive would be incomplete.
    """
    if not process.is_terminated:
        raise ValueError(f'{process.process_label}<{process.pk}> still runs: export it when it has ended.')
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # AiiDA logs forty lines of settings and counts; its warnings are still shown.
    with override_log_level(LOG_LEVEL_REPORT):
        create_archive(
            [process],
            filename=path,
            overwrite=True,
            include_comments=False,
            include_logs=True,
            include_authinfos=False,
            **TRAVERSAL,
        )
    return path
