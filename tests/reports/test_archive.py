"""A study in an archive, imported into an empty profile, gives the same report."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiida import orm
from aiida.tools.archive import import_archive
from plumpy.process_states import ProcessState

from aiida_dpasse.reports.accounting import batches, unaccounted
from aiida_dpasse.reports.archive import export_archive
from aiida_dpasse.reports.graph import entry_point
from aiida_dpasse.reports.lineage import trace_dataset, trace_frames
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.reports.status import status_text

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
    archive = export_archive([study], tmp_path / 'study.aiida')
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
    with pytest.raises(ValueError, match=f'<{running.pk}>'):
        export_archive([running], tmp_path / 'running.aiida')


def test_an_archive_of_an_earlier_release_gives_what_it_gave_then(aiida_profile, tmp_path):
    """Initial data of copper, made when the chains lay in `workflows` and the calcfunctions in `functions`."""
    import_archive(Path(__file__).parent / 'data' / 'initial_data.aiida')
    study = orm.load_node('67044ecb-38de-4f08-aa50-35d24ee1f428')
    # The label of its computer, `localhost`, is left to the other tests of this profile.
    [computer] = {node.computer.uuid: node.computer for node in study.called_descendants if node.computer}.values()
    computer.label = 'earlier-release'
    assert entry_point(study) == 'dpasse.initial_data'
    origins = trace_frames(study.outputs.frames)
    assert [(origin.frame_id, origin.made_by_name, origin.step) for origin in origins] == [
        ('e5da6b54f686a80f', 'perturb_structures', -1),
        ('66f051cd603dffaf', 'dpasse.label', 3),
        ('64fc66965f643b69', 'dpasse.label', 6),
        ('c69b45c1bf64d4fc', 'perturb_structures', -1),
        ('904fe2b1d670f6d5', 'dpasse.label', 3),
        ('7bac9cee50ae3f68', 'dpasse.label', 6),
    ]
    assert len({origin.label_job for origin in origins}) == 2
    assert [(batch.label, batch.requested, batch.admitted, batch.balanced) for batch in batches(study)] == [
        ('label', 6, 6, True),
        ('batch_0000', 3, 3, True),
        ('batch_0001', 3, 3, True),
    ]
    assert orphans(study) == unaccounted(study) == []
    assert status_text(study).startswith(f'InitialDataWorkChain<{study.pk}>  finished: 1 of 1 phases; 2 jobs done')
    assert {path.name for path in write_report(study, tmp_path)} == {'frames.png', 'provenance.svg', 'report.txt'}
