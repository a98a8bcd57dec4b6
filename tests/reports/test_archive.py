"""A study in an archive, opened in an empty profile, tells the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiida import orm
from plumpy.process_states import ProcessState

from aiida_dpasse.reports.archive import export_archive
from aiida_dpasse.reports.lineage import trace_dataset
from aiida_dpasse.reports.report import report_text, write_report

ELSEWHERE = """
import sys
from pathlib import Path
from aiida import load_profile, orm
from aiida.storage.sqlite_temp import SqliteTempBackend
from aiida.manage import get_manager
from aiida.tools.archive import import_archive

load_profile(SqliteTempBackend.create_profile('elsewhere', filepath=sys.argv[3]), allow_switch=True)
import_archive(sys.argv[1])
study = orm.load_node(sys.argv[2])
from aiida_dpasse.reports.lineage import trace_dataset
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report

write_report(study, sys.argv[4])
assert orphans(study) == []
rows = list(trace_dataset(study))
assert all(row.origin.label_job is not None and row.origin.made_by is not None for row in rows)
print(len(rows))
"""


def test_an_archive_gives_the_same_tables_and_plots(study, tmp_path):
    archive = export_archive(study, tmp_path / 'study.aiida')
    here, there = tmp_path / 'here', tmp_path / 'there'
    write_report(study, here)
    script = tmp_path / 'elsewhere.py'
    script.write_text(ELSEWHERE)
    arguments = [str(path) for path in (archive, study.uuid, tmp_path / 'sandbox', there)]
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path)}
    run = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.splitlines()[-1]) == len(list(trace_dataset(study)))
    names = sorted(path.name for path in here.iterdir())
    assert names == sorted(path.name for path in there.iterdir())
    for name in names:
        if name != 'report.txt':  # its lines hold the PKs, which are the profile's own
            assert (here / name).read_bytes() == (there / name).read_bytes(), name
    assert len(report_text(study).splitlines()) == len((there / 'report.txt').read_text().splitlines())


def test_a_running_process_is_not_exported(graph, tmp_path: Path):
    running = graph.process(orm.WorkChainNode, 'dpasse.pretrain', state=ProcessState.WAITING)
    with pytest.raises(ValueError, match='still runs: export it when it has ended'):
        export_archive(running, tmp_path / 'running.aiida')
