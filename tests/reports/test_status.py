"""Status of processes that are held up: paused, excepted, or done with what a molecular dynamics gave."""

from __future__ import annotations

from aiida import orm
from plumpy.process_states import ProcessState

from aiida_dpasse.cli.daemon import Standstill
from aiida_dpasse.reports.registry import outcome
from aiida_dpasse.reports.status import running_text, status_text

TRACEBACK = """Traceback (most recent call last):
  File "chain.py", line 1, in setup
ValueError: The code `dp@cluster` cannot be used.
"""


def test_a_paused_job_gives_its_sentence_and_the_command(graph):
    top = graph.work('dpasse.committee', seconds=60, state=ProcessState.WAITING)
    job = graph.process(orm.CalcJobNode, 'dpasse.train', 'train', top, state=ProcessState.WAITING)
    job.pause()
    job.set_process_status('The disk of `cluster` is full (quota): make room.')
    running = running_text()
    for text in (status_text(top), running):
        assert f'DpasseTrainProcess<{job.pk}>' in text
        assert job.process_status in text
        assert f'`verdi process play {job.pk}`' in text
    assert f'DpasseCommitteeProcess<{top.pk}>' in running

    job.unpause()
    assert 'is paused' not in status_text(top)


def test_a_chain_that_was_excepted_at_its_start_gives_the_reason(graph):
    top = graph.work('dpasse.committee', state=ProcessState.EXCEPTED)
    top.set_exception(TRACEBACK)
    text = status_text(top)
    assert text.startswith(f'DpasseCommitteeProcess<{top.pk}>')
    assert TRACEBACK.splitlines()[-1] in text


def test_the_outcome_of_dynamics_names_the_steps_of_its_parser(graph):
    top = graph.work('dpasse.md.base')
    results = {'results': orm.Dict({'step': 1500, 'steps': 6000, 'katom_steps_per_s': 14.2})}
    graph.calc('dpasse.md', 'md', top, outputs=results)
    graph.give(top, results)
    [line] = outcome(top)
    assert '1500 of 6000' in line
    assert '14.2' in line


def test_each_standstill_names_its_command(graph):
    job = graph.process(orm.CalcJobNode, 'dpasse.md', 'md', state=ProcessState.WAITING)
    assert Standstill().sentences(7) == []
    [stopped] = Standstill(running=False).sentences(7)
    assert '`verdi daemon start`' in stopped
    lost, untaken, deaf = Standstill(lost=[job], untaken=[3, 4], deaf=[5]).sentences(7)
    assert f'DpasseMdProcess<{job.pk}>' in lost
    assert 'processes 3, 4' in untaken
    assert 'process 5' in deaf
    assert all('`aiida-dpasse status --repair 7`' in sentence for sentence in (lost, untaken, deaf))
    assert '`verdi process repair`' in lost
    assert all('`verdi daemon restart`' in sentence for sentence in (untaken, deaf))
    assert '`aiida-dpasse status --repair`,' in Standstill(lost=[job]).sentences(None)[0]
