"""From the conductivity back to every labelled frame, its label job and its step of molecular dynamics."""

from __future__ import annotations

import pytest
from aiida import orm
from made_up_nodes import Graph

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.reports.graph import entry_point, output
from aiida_dpasse.reports.lineage import trace_dataset, trace_frame, trace_frames, trainings


def test_the_conductivity_rests_on_every_training(study):
    found = [(training.caller.caller.process_type.rpartition(':')[2]) for training in trainings(study)]
    assert sorted(found) == [
        'dpasse.committee',
        'dpasse.committee',
        'dpasse.distill',
        'dpasse.finetune',
        'dpasse.pretrain',
    ]
    # The conductivity itself rests on student and teacher; fine-tuning and committee are beside its line.
    arrhenius = output(study, 'conductivity__arrhenius')
    assert [job.caller.caller.process_type.rpartition(':')[2] for job in trainings(arrhenius)] == [
        'dpasse.committee',
        'dpasse.committee',
        'dpasse.pretrain',
        'dpasse.distill',
    ]


def test_every_frame_leads_to_its_label_job_and_what_made_it(study):
    rows = list(trace_dataset(output(study, 'conductivity__arrhenius')))
    assert len(rows) > 100
    for row in rows:
        origin = row.origin
        assert entry_point(orm.load_node(origin.label_job)) == 'dpasse.label'
        assert origin.made_by_name in ('perturb_structures', 'perturb_frames', 'dpasse.md')
        if origin.made_by_name == 'perturb_structures':
            assert origin.md is None
        else:
            job, step = origin.md
            assert entry_point(orm.load_node(job)) == 'dpasse.md'
            assert step > 0
            # The step and the run are those of the node that the run itself left.
            run = orm.load_node(job).outputs.frames
            parent = origin.parent or origin
            [item] = run.sets()
            assert item.steps[list(item.ids).index(parent.frame_id)] == step


def test_a_chosen_frame_names_who_chose_it(study):
    frames = output(study, 'active_learning__frames')
    origins = trace_frames(frames)
    assert [origin.frame_id for origin in origins] == list(frames.ids())
    chosen = [origin for origin in origins if origin.selected_by is not None]
    assert len(chosen) == 4
    for origin in chosen:
        select = orm.load_node(origin.selected_by)
        assert select.process_label == 'select_candidates'
        # The frame's source is the input link of the choice, and that input is the run's own output.
        run = select.base.links.get_incoming(link_label_filter=origin.source).one().node
        assert run.creator.pk == origin.made_by
        assert origin.source.startswith('samples__md_')
        assert entry_point(orm.load_node(origin.made_by)) == 'dpasse.md'


@pytest.mark.parametrize(
    ('link', 'source'),
    [
        ('samples__md_0003', 'samples__md_0003'),  # as now
        ('md_003', 'md_003'),  # as archives have it that were made before inputs had namespaces
        ('frames__md_0003', 'md_0003'),  # a source that names the run alone
    ],
)
def test_the_source_is_found_by_the_link_that_it_names(aiida_profile, localhost, make_frames, link, source):
    graph = Graph(localhost)
    work = graph.work('dpasse.explore')
    runs = {}
    for name, seed in ((link, 1), ('frames__other', 2)):
        sampled = make_frames('Li Li S', 3, seed=seed, labels=False).with_origin(steps=[0, 10, 20])
        outputs = {'frames': FramesData.from_sets([sampled])}
        runs[name] = graph.calc('dpasse.md', name, work, {}, 5.0, outputs=outputs)['frames']
    twice = {'known__before': runs[link]}
    taken = [item.take([1]).with_origin(sources=source) for item in runs[link].sets()]
    outputs = {'candidates': FramesData.from_sets(taken)}
    chosen = graph.calc('select_candidates', 'select', work, twice | runs, 1.0, outputs=outputs, job=False)[
        'candidates'
    ]
    graph.seal()
    [origin] = trace_frames(chosen)
    assert (origin.selected_by, origin.source) == (chosen.creator.pk, source)
    assert (origin.made_by, origin.step) == (runs[link].creator.pk, 10)
    assert origin.path == (chosen.creator.pk, runs[link].creator.pk)


def test_an_imported_frame_has_no_origin_and_an_unknown_one_is_refused(make_frames):
    frames = FramesData.from_sets([make_frames()]).store()
    origin = trace_frame(frames, frames.ids()[0])
    assert origin.made_by is None
    assert origin.label_job is None
    assert origin.md is None
    with pytest.raises(ValueError, match=r'nothing .*FramesData<\d+>'):
        trace_frame(frames, 'nothing')
