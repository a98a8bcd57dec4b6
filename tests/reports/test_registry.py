"""The one registry of reports holds every process of ours, and each reports a process that left nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm
from aiida.plugins.entry_point import get_entry_point_names
from plumpy import ProcessState

import aiida_dpasse
from aiida_dpasse.renamed import ENTRY_POINTS
from aiida_dpasse.reports.graph import call_tree, entry_point
from aiida_dpasse.reports.registry import REPORTS, outcome
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.reports.status import status_text

GROUPS = {'aiida.workflows': orm.WorkChainNode, 'aiida.calculations': orm.CalcJobNode}


NAMES = sorted(
    {name for group in GROUPS for name in get_entry_point_names(group) if name.startswith('dpasse.')}
    - set(ENTRY_POINTS)
)


def test_every_process_has_a_report_and_every_report_a_process():
    assert set(REPORTS) == {name.split('.')[1] for name in NAMES}


def test_every_report_is_in_the_registry():
    package = Path(aiida_dpasse.__file__).parent
    modules = {'.'.join(path.relative_to(package).with_suffix('').parts) for path in package.glob('*/*_report.py')}
    assert set(REPORTS.values()) == modules


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


@pytest.mark.parametrize('name', NAMES)
def test_a_process_that_left_nothing_is_reported_with_its_exception(name, excepted, tmp_path):
    node = excepted(name)
    assert entry_point(node) == name
    assert outcome(node) == []
    assert 'the node was not found' in report_text(node)
    assert 'the node was not found' in status_text(node)
    assert tmp_path / 'report.txt' in write_report(node, tmp_path)


def test_processes_with_old_names_are_read_by_the_new_ones(graph):
    """The entry point, and the call link labels of a study."""
    study = graph.process(orm.WorkChainNode, 'dpasse.electrolyte')
    child = graph.process(orm.WorkChainNode, 'dpasse.speed', 'contrast', study)
    assert entry_point(child) == 'dpasse.benchmark'
    assert [(call.label, call.entry_point) for call in call_tree(study.pk)[1:]] == [('reference', 'dpasse.benchmark')]
    assert outcome(child) == []
