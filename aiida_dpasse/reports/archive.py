"""A study as one file that another profile can open, with everything that its results rest on."""

from __future__ import annotations

from pathlib import Path

from aiida import orm
from aiida.common.log import LOG_LEVEL_REPORT, override_log_level
from aiida.tools.archive import create_archive

#: Everything that led to a result, whatever called it; nothing that others did with it afterwards.
TRAVERSAL = {
    'create_backward': True,
    'call_calc_backward': True,
    'call_work_backward': True,
    'return_backward': False,
    'input_calc_forward': False,
    'input_work_forward': False,
}


def export_archive(process: orm.ProcessNode, path: str | Path) -> Path:
    """Write ``process``, its whole graph and the reports of its steps to ``path``, in place of what was there.

    Handed-in results come with the processes that made them, so that the provenance rule holds in the archive as well.
    No credentials are written, and no licensed file: aiida-vasp keeps a POTCAR's text outside the graph.

    :raises ValueError: if ``process`` still runs, since its archive would be cut short.
    """
    if not process.is_terminated:
        raise ValueError(f'{process.process_label}<{process.pk}> still runs: export it when it has ended.')
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # AiiDA lists forty lines of settings and counts; its warnings still come through.
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
