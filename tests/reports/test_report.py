"""Tables, plots and archives of the made-up study."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import timedelta
from itertools import groupby
from pathlib import Path

import pytest
from aiida import orm
from made_up_nodes import LPSCL, extrapolate, structure
from matplotlib.image import imread

from aiida_dpasse.dynamics.conductivity_report import read_measured
from aiida_dpasse.experiment.measured import version
from aiida_dpasse.reports.accounting import batches, unaccounted
from aiida_dpasse.reports.drawing import MOST
from aiida_dpasse.reports.graph import call_tree, output
from aiida_dpasse.reports.progress import ELECTROLYTE, progress
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.reports.status import status_text
from aiida_dpasse.reports.timing import clock, phase_times
from aiida_dpasse.study.electrolyte_report import KEYS, summarize


@pytest.fixture(scope='module')
def written(study, tmp_path_factory) -> dict[str, Path]:
    """The report of the whole chain, by file name."""
    return {path.name: path for path in write_report(study, tmp_path_factory.mktemp('report'))}


def child(study: orm.WorkChainNode, label: str) -> orm.ProcessNode:
    """Return the phase ``label``."""
    return orm.load_node(next(call.pk for call in call_tree(study.pk) if call.label == label))


def test_the_report_leaves_all_files(written):
    assert set(written) == {
        'summary.json',
        'arrhenius.png',
        'msd.png',
        'learning.png',
        'provenance.svg',
        'report.txt',
    }
    for name in ('arrhenius.png', 'msd.png', 'learning.png'):
        picture = imread(written[name])
        assert min(picture.shape[:2]) > 600
        assert picture.std() > 0.05


def test_the_summary_has_every_key_and_the_made_up_numbers(study, written):
    summary = json.loads(written['summary.json'].read_text())
    assert set(KEYS) <= set(summary)
    assert summary['activation_energy_eV'] == pytest.approx(0.25)
    low, high = summary['conductivity_300K_interval_mS_cm']
    assert low < summary['conductivity_300K_mS_cm'] < high
    assert summary['conductivity_kind'] == 'nernst_einstein'
    assert [row['temperature_K'] for row in summary['temperatures']] == [900.0, 750.0, 600.0]
    assert summary['frames_labelled'] == 40 + 4 + 20
    assert summary['frames_rejected'] == 2 + 2 + 1
    assert summary['iterations'] == 2
    assert summary['teacher_mae_energy_meV_atom'] == 4.4
    assert summary['student_mae_force_meV_A'] == 104.0
    assert summary['speedup_student_over_teacher'] == 118.0
    assert summary['finetune']['zero_shot']['energy_mae_meV_atom'] == 48.0
    assert summary['seed'] == 7
    assert summary['process_uuid'] == study.uuid
    assert 210 <= summary['wall_time_s']['active_learning'] <= summary['wall_time_s']['total']
    assert list(summary['wall_time_s'])[-1] == 'total'


def test_the_picture_shows_every_phase_and_its_numbers(written):
    root = ET.fromstring(written['provenance.svg'].read_text())
    texts = [element.text for element in root.iter('{http://www.w3.org/2000/svg}text')]
    for phase in ('Initial data', 'Active learning', 'Pre-training', 'Fine-tuning', 'Distillation', 'Conductivity'):
        assert phase in texts
    assert 'Li6PS5Cl: from structures to a conductivity' in texts
    assert '44 labelled' in texts
    assert any(text.startswith('118 times') for text in texts)
    assert any(text.startswith('σ(300 K) = ') for text in texts)
    assert 'measured: 0.033 to 2.05 mS/cm' in texts
    boxes = [element for element in root.iter('{http://www.w3.org/2000/svg}rect')][1:]
    spans = [tuple(float(box.get(key)) for key in ('x', 'y', 'width', 'height')) for box in boxes]
    for i, (x, y, w, h) in enumerate(spans):
        for other_x, other_y, other_w, other_h in spans[:i]:
            assert x >= other_x + other_w or other_x >= x + w or y >= other_y + other_h or other_y >= y + h


def test_the_conductivity_is_placed_in_the_measured_range(study, written):
    summary = json.loads(written['summary.json'].read_text())
    assert summary['measured_mS_cm'] == {'low': 0.033, 'high': 2.05, 'count': 3, 'exact': True}
    assert (summary['measured_overlap'], summary['measured_table']) == (True, version())
    assert len(summary['measured_sources']) == 3
    for text in (report_text(study), report_text(child(study, 'conductivity'))):
        assert text.count('0.033 to 2.05 mS/cm') == text.count('10.1002/pssa.201001117') == 1
    # The formula is that of the structure: LiBr conducts, but was not measured.
    assert read_measured(child(study, 'conductivity')).formula == 'Li6PS5Cl'
    assert read_measured(child(study, 'initial_data')) is None


STOPPED = '2 of 2 runs were stopped, md_0001_crystal_600K_r0 at step 500 (heated up): 850 K, more than 20% above 600 K.'


@pytest.fixture(scope='module')
def undetermined(graph) -> orm.WorkChainNode:
    """A study without a conductivity: two temperatures with runs that were stopped, one that is not diffusive."""
    top = graph.work('dpasse.electrolyte', inputs={'electrolyte__x': structure(LPSCL)}, exit_status=602)
    work = graph.work('dpasse.conductivity', 'conductivity', top, {'structures__x': structure(LPSCL)}, exit_status=602)
    row = {'diffusivity_cm2_s': None, 'conductivity_mS_cm': None, 'runs': 2, 'diffusive': False}
    rows = [
        {**row, 'temperature_K': 900.0, 'verdict': 'heated up', 'reason': STOPPED.replace('600', '900')},
        {**row, 'temperature_K': 750.0, 'verdict': 'heated up', 'reason': STOPPED},
        {**row, 'temperature_K': 600.0, 'verdict': 'not diffusive', 'reason': 'The ions rest on their sites for now.'},
    ]
    fit = extrapolate(rows, 300.0)
    outputs = {'transport': orm.Dict({'ion': 'Li', 'temperatures': rows}), 'arrhenius': orm.Dict(fit)}
    for index in range(5):
        inputs = {'structure': structure(LPSCL, index)}
        graph.process(
            orm.CalcJobNode, 'dpasse.md', f'md_{index:04d}_crystal', work, inputs, exit_status=413 * (index < 2)
        )
    graph.give(work, graph.calc('determine_transport', 'determine', work, outputs=outputs, job=False))
    message = f'The conductivity is undetermined: {fit["reason"]} Use longer or hotter runs.'
    work.set_exit_message(message)
    top.set_exit_message(f'All phases ended. {message}')
    return top


def test_each_reason_stands_once(undetermined, tmp_path):
    for process in (undetermined, child(undetermined, 'conductivity')):
        text = report_text(process)
        for part in (STOPPED, STOPPED.replace('600', '900'), 'rest on their sites', 'the fit needs 3', 'Measured:'):
            assert text.count(part) == 1
    assert sum(line.count('the fit needs 3') for line in progress(undetermined).lines) == 1
    summary = summarize(undetermined)
    assert (summary['measured_mS_cm']['count'], summary['measured_overlap']) == (3, None)


def test_no_box_has_more_than_four_lines(undetermined, tmp_path):
    for process in (undetermined, child(undetermined, 'conductivity')):
        paths = {path.name: path for path in write_report(process, tmp_path / str(process.pk))}
        root = ET.fromstring(paths['provenance.svg'].read_text())
        shapes = [element for element in root.iter() if element.tag.endswith(('rect', 'text'))]
        counts = [
            len(list(group)) for box, group in groupby(shapes, lambda shape: shape.tag.endswith('rect')) if not box
        ]
        texts = [shape.text for shape in shapes if shape.tag.endswith('text')]
        assert max(counts) <= 1 + MOST + 1  # a title, and the footing after the last box
        assert max(map(len, texts)) <= 100
    assert 'Molecular dynamics, 5 runs' in texts
    assert any('2 failed' in text for text in texts)


def test_the_tables_name_phases_iterations_errors_and_transport(study):
    text = report_text(study)
    for line in ('Phases', 'Labels', 'Errors on held-out frames', 'Transport, electrolyte', 'Transport, reference'):
        assert line in text
    assert '75 %' in text
    assert 'no ion left its cage' in text
    assert 'fine-tuned, Li6PS5Br' in text


@pytest.mark.parametrize(
    ('label', 'files'),
    [
        ('initial_data', {'frames.png'}),
        ('active_learning', {'iterations.png', 'learning.png', 'frames.png'}),
        ('pretrain', {'learning.png'}),
        ('distill', {'learning.png'}),
        ('conductivity', {'arrhenius.png', 'msd.png', 'van_hove.png'}),
    ],
)
def test_each_phase_has_a_report_of_its_own(study, tmp_path, label, files):
    written = write_report(child(study, label), tmp_path)
    assert {path.name for path in written} == {*files, 'provenance.svg', 'report.txt'}
    assert all(path.stat().st_size > 0 for path in written)


def test_the_size_of_the_cell_is_judged_in_the_report(study):
    assert 'large enough, at 900 K' in report_text(child(study, 'conductivity'))


def test_every_batch_adds_up_and_a_lost_frame_is_noticed(study, graph, make_frames):
    assert unaccounted(study) == []
    assert [batch.requested for batch in batches(study) if batch.label == 'label_000'] == [6]

    from aiida_dpasse.data.frames import FramesData

    frames = make_frames(frames=3)
    asked = FramesData.from_sets([frames.with_labels()])
    counted = orm.Dict({'requested': 3, 'admitted': 2, 'rejected': [], 'failed': []})
    admitted = FramesData.from_sets([frames.take([0, 1])])
    work = graph.work('dpasse.label', inputs={'frames': asked})
    outputs = graph.calc(
        'dpasse.label', 'batch_000', work, {'frames': asked}, outputs={'frames': admitted, 'account': counted}
    )
    graph.give(work, outputs)
    faults = unaccounted(work)
    assert len(faults) == 2
    [total, _] = batches(work)
    assert (total.requested, total.admitted, total.returned, len(total.lost)) == (3, 2, 2, 1)


def test_orphans_are_found_and_the_made_up_study_has_none(study, graph):
    assert orphans(study) == []
    stray = orm.Dict({'temperature': 600}).store()
    top = graph.work('dpasse.pretrain', inputs={'parameters': orm.Dict({'seed': 1})})
    graph.process(orm.CalcJobNode, 'dpasse.md', 'md', top, {'parameters': stray})
    assert [node.pk for node in orphans(top)] == [stray.pk]
    # The same node is the user's own, and so no orphan, where the inner process was the one submitted.
    inner = graph.process(orm.CalcJobNode, 'dpasse.md', inputs={'parameters': stray})
    assert orphans(inner) == []
    shell = graph.work('dpasse.validate')
    graph.process(orm.CalcJobNode, 'core.shell', 'embed', shell, {'arguments': orm.List(['embed'])})
    assert orphans(shell) == []


def test_progress_of_a_running_study(graph):
    from plumpy.process_states import ProcessState

    given = {'structures__a': orm.StructureData(cell=[[4, 0, 0], [0, 4, 0], [0, 0, 4]])}
    given['structures__a'].append_atom(symbols='Li', position=(0, 0, 0))
    top = graph.work('dpasse.electrolyte', inputs=given, seconds=60, state=ProcessState.WAITING)
    done = graph.work('dpasse.initial_data', 'initial_data', top, seconds=90)
    graph.calc('dpasse.label', 'batch_000', done, seconds=30, outputs={'x': orm.Dict({})})
    running = graph.work('dpasse.active_learning', 'active_learning', top, seconds=20, state=ProcessState.WAITING)
    graph.process(orm.CalcJobNode, 'dpasse.train', 'train', running, seconds=10, state=ProcessState.RUNNING)
    graph.process(orm.CalcJobNode, 'dpasse.train', 'failed', running, seconds=10, exit_status=310)
    now = progress(top, top.ctime + timedelta(seconds=60))
    assert (now.phase, now.phases_done, now.phases_total) == ('active_learning', 1, 8)
    assert (now.jobs_done, now.jobs_running, now.jobs_failed) == (2, 1, 1)
    assert now.elapsed_s == pytest.approx(60)
    # What is left is thought to take as long, beside what was planned, as the first phase took.
    planned = ELECTROLYTE['initial_data']
    assert now.eta_s == pytest.approx(90 / planned * (sum(ELECTROLYTE.values()) - planned) - 20, rel=0.02)
    assert '1 of 8' in now.headline()
    text = status_text(top)
    assert 'failed [310]' in text
    assert 'Jobs running and failed' in text


def test_progress_and_times_of_the_ended_study(study):
    now = progress(study)
    assert now.terminated
    assert now.eta_s == 0
    assert now.phases_done == now.phases_total == 8
    assert any(line.startswith('distill (') for line in now.lines)
    times = {phase.phase: phase for phase in phase_times(call_tree(study.pk))}
    assert times['conductivity'].jobs == 3
    assert summarize(study)['exit_status'] == 0
    assert [clock(seconds) for seconds in (4, 185, 7500)] == ['4 s', '3 min 05 s', '2 h 05 min']


def test_a_failed_phase_is_drawn_and_reported(graph, tmp_path):
    top = graph.work('dpasse.electrolyte', exit_status=400)
    failed = graph.work('dpasse.initial_data', 'initial_data', top, exit_status=410)
    graph.process(orm.CalcJobNode, 'dpasse.label', 'batch_000', failed, exit_status=310)
    paths = {path.name: path for path in write_report(top, tmp_path)}
    assert 'exit code 410' in paths['provenance.svg'].read_text()
    assert 'It did not work: try again.' in paths['report.txt'].read_text()
    assert json.loads(paths['summary.json'].read_text())['conductivity_300K_mS_cm'] is None
    assert output(top, 'summary') is None
