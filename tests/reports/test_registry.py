"""The one registry of reports holds every process of ours, and each reports a process that left nothing."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.plugins.entry_point import get_entry_point_names
from plumpy import ProcessState

from aiida_dpasse.reports.graph import entry_point
from aiida_dpasse.reports.outcome import outcome
from aiida_dpasse.reports.report import REPORTS, report_text, write_report
from aiida_dpasse.reports.status import status_text

GROUPS = {'aiida.workflows': orm.WorkChainNode, 'aiida.calculations': orm.CalcJobNode}


def test_every_process_of_ours_is_in_the_registry():
    names = {name for group in GROUPS for name in get_entry_point_names(group) if name.startswith('dpasse.')}
    assert set(REPORTS) == names


@pytest.fixture
def excepted(graph):
    """Return a maker of a process that was excepted before it did anything."""

    def make(name: str) -> orm.ProcessNode:
        group = next(group for group in GROUPS if name in get_entry_point_names(group))
        inputs = {'parameters': orm.Dict({})}
        node = graph.process(GROUPS[group], name, inputs=inputs, state=ProcessState.EXCEPTED)
        node.set_exception('ValueError: the node was not found')
        node.seal()
        return node

    return make


@pytest.mark.parametrize('name', sorted(REPORTS))
def test_a_process_that_left_nothing_is_reported_with_its_exception(name, excepted, tmp_path):
    node = excepted(name)
    assert entry_point(node) == name
    assert outcome(node) == []
    assert 'the node was not found' in report_text(node)
    assert 'the node was not found' in status_text(node)
    assert tmp_path / 'report.txt' in write_report(node, tmp_path)
