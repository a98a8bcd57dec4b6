"""Accounts of labels on made-up graphs: a job that was started again is counted once, by its last run."""

from __future__ import annotations

from aiida import orm
from made_up_nodes import Graph, account

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.reports.accounting import RESTARTING, batches, unaccounted


def test_a_job_that_was_started_again_is_counted_once(aiida_profile, localhost, make_frames):
    graph, labelled = Graph(localhost), make_frames('Li Li S', 3)
    given = {'frames': FramesData.from_sets([labelled.with_labels()])}
    chain = graph.work('dpasse.label', inputs=given)
    base = graph.work('dpasse.label.job', 'batch_0000', chain, {'job__frames': given['frames']})
    base.set_process_label(RESTARTING)
    # The node under the first run was lost; the second left everything.
    graph.process(orm.CalcJobNode, 'dpasse.label', 'iteration_01', base, given, 9.0, exit_status=100).seal()
    outputs = {'frames': FramesData.from_sets([labelled]), 'account': account(3)}
    done = graph.calc('dpasse.label', 'iteration_02', base, given, 5.0, outputs=outputs)
    for work in (base, chain):
        graph.give(work, done)
    graph.seal()
    assert unaccounted(chain) == []
    total, job = batches(chain)
    assert (total.label, total.requested, total.admitted, total.returned) == ('', 3, 3, 3)
    assert (job.label, job.requested, job.given, job.balanced) == ('batch_0000', 3, 3, True)
