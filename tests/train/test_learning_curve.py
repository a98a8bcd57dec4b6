"""A fine-tuning study of one point, with real programs on a tiny DPA-2, and its table against numbers by hand."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node

from aiida_dpasse.assessment.repeats import ERRORS
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.train.learning_curve import LearningCurveWorkChain
from aiida_dpasse.train.plan_learning_curve import ZERO_SHOT
from aiida_dpasse.train.tabulate_learning_curve import tabulate_learning_curve


@pytest.fixture(scope='session')
def study(tiny_dpa2) -> dict:
    """Five frames, once."""
    tune = {**tiny_dpa2, 'input': {**tiny_dpa2['input'], 'model': {}}, 'finetune': {'use_pretrain_script': True}}
    return {'sizes': [5], 'repeats': 1, 'test': 5, 'epochs': 4, 'tune': tune, 'scratch': tiny_dpa2, 'seed': 2}


def inputs(codes, frames, pretrained, parameters):
    chosen = {name: codes[name] for name in LearningCurveWorkChain.CODES}
    defaults = {'align': True, 'from_scratch': True, 'choice': 'random'}
    return {
        'codes': chosen,
        'frames': frames,
        'pretrained': pretrained,
        'parameters': orm.Dict({**defaults, **parameters}),
    }


def test_a_study(codes, alloy_frames, pretrained_metals, study, tmp_path):
    checkpoint = pretrained_metals.outputs.checkpoint
    _, node = run_get_node(LearningCurveWorkChain, **inputs(codes, alloy_frames, checkpoint, study))
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == []

    found = node.outputs.sample_efficiency.get_dict()
    points = {(point['kind'], point['frames']): point for point in found['points']}
    assert set(points) == {
        ('zero-shot', 0),
        ('aligned', 5),
        ('fine-tuned', 5),
        ('from scratch', 5),
        ('from scratch', 10),
    }
    # The alloy's energy is off by a constant for each element, which alignment takes away and the forces do not see.
    zero, aligned, tuned = (points[key] for key in (('zero-shot', 0), ('aligned', 5), ('fine-tuned', 5)))
    assert aligned['energy_mae_meV_atom'] < 0.5 * zero['energy_mae_meV_atom']
    assert aligned['force_mae_meV_A'] == pytest.approx(zero['force_mae_meV_A'], rel=1e-6)
    assert tuned['energy_mae_meV_atom'] < 0.5 * zero['energy_mae_meV_atom']

    links = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    calls = {link.link_label: link.node for link in links}
    trained = {key: child.inputs.train for key, child in calls.items() if key.startswith(('tuned_', 'scratch_'))}
    assert set(trained) == {'tuned_0000_n5_r0', 'scratch_0000_n5_r0', 'scratch_0001_n10_r0'}
    # One frame of 16 atoms is half a batch of `auto`; here a batch is a frame, and each is seen four times.
    steps = {key: train.parameters['input']['training']['numb_steps'] for key, train in trained.items()}
    assert steps == {'tuned_0000_n5_r0': 20, 'scratch_0000_n5_r0': 20, 'scratch_0001_n10_r0': 40}
    assert trained['tuned_0000_n5_r0'].training_data.uuid == trained['scratch_0000_n5_r0'].training_data.uuid
    tested = set(node.outputs.test_data.ids())
    assert not tested & set(trained['scratch_0001_n10_r0'].training_data.ids())
    assert node.outputs.potentials['tuned_0000_n5_r0'].form == 'frozen'

    assert 'Sample efficiency' in report_text(node)
    assert tmp_path / 'sample_efficiency.png' in write_report(node, tmp_path)


def test_the_table_by_hand(aiida_profile):
    errors = {
        ZERO_SHOT: 300.0,
        Run('tuned', 0, size=20, replica=0): 90.0,
        Run('tuned', 1, size=20, replica=1): 110.0,
        Run('tuned', 2, size=60, replica=0): 60.0,
        Run('scratch', 0, size=20, replica=0): 400.0,
        Run('scratch', 1, size=760, replica=0): 80.0,
    }
    results = {run.id: dict.fromkeys(ERRORS, value) for run, value in errors.items()}
    runs = Runs(run for run in errors if run != ZERO_SHOT)
    found = tabulate_learning_curve(orm.Dict(results), orm.Dict(runs.to_dict())).get_dict()
    summary = {(row['kind'], row['frames']): row for row in found['summary']}
    assert summary['fine-tuned', 20]['force_mae_meV_A'] == 100.0
    assert summary['fine-tuned', 20]['force_mae_meV_A_error'] == pytest.approx(10.0)
    assert summary['fine-tuned', 60]['force_mae_meV_A_error'] is None
    # Sixty frames beat all that there are from scratch.
    assert found['fewest_frames']['fine_tuned']['frames'] == 60
    assert found['fewest_frames']['from_scratch'] == {
        'frames': 760,
        'energy_mae_meV_atom': 80.0,
        'force_mae_meV_A': 80.0,
    }


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'sizes': [11]}, r'`sizes`.*11.*10.*15'),
        ({'sizes': [5, 5]}, '`sizes`'),
        ({'sizes': [0]}, '`sizes.0`'),
    ],
)
def test_impossible_studies_are_refused(codes, alloy_frames, pretrained_metals, study, changes, message):
    checkpoint = pretrained_metals.outputs.checkpoint
    with pytest.raises(ValueError, match=message):
        run_get_node(LearningCurveWorkChain, **inputs(codes, alloy_frames, checkpoint, {**study, **changes}))


def test_a_training_that_starts_from_nothing_is_refused(codes, alloy_frames, pretrained_metals, study):
    checkpoint = pretrained_metals.outputs.checkpoint
    with pytest.raises(ValueError, match=r'`tune\.finetune`'):
        run_get_node(
            LearningCurveWorkChain, **inputs(codes, alloy_frames, checkpoint, {**study, 'tune': study['scratch']})
        )
