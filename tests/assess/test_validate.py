"""The report card of a tiny potential of copper beside EMT, which made the labels and so has no error."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.assess.validate import ValidateWorkChain
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report

EXIT = ValidateWorkChain.exit_codes
PARAMETERS = {'seed': 1, 'temperature_bin': 100, 'batch_size': 100, 'parity_points': 50}
SHOWN = {'potential': 'tiny', 'method': 'pca', 'max_frames': 8}


@pytest.fixture(scope='session')
def heated(copper_frames) -> FramesData:
    """Ten frames of which the last is the first again, as if they were taken from 0 to 900 steps."""
    [item] = copper_frames.sets()
    steps = np.arange(0, 1000, 100)
    return FramesData.from_sets([item.take([*range(9), 0]).with_origin(steps=steps)]).store()


@pytest.fixture
def inputs(codes, copper_committee, copper_frames, heated):
    def make(calculators=None, **parameters):
        return {
            'codes': {'python': codes['python']},
            'potentials': {'tiny': copper_committee.outputs.potentials['member_00']},
            'calculators': calculators or {},
            'test_sets': {'strained': copper_frames, 'heated': heated},
            'parameters': orm.Dict({**PARAMETERS, **parameters}),
        }

    return make


def rows_of(node) -> dict:
    return {(row['potential'], row['set']): row for row in node.outputs.report_card['tests']}


def test_a_potential_beside_a_calculator(inputs, copper_frames, tmp_path):
    heating = {'heated': {'first': 150, 'last': 1050, 'steps': 900}}
    given = inputs({'emt': orm.Dict({'name': 'emt'})}, temperatures=heating, temperature_bin=450, descriptors=SHOWN)
    given['training_data'] = copper_frames
    _, node = run_get_node(ValidateWorkChain, **given)
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == []

    rows = rows_of(node)
    assert set(rows) == {(name, name_of) for name in ('tiny', 'emt') for name_of in ('strained', 'heated')}
    for row in rows.values():
        # A frame that is given twice is not counted as a missing label.
        assert row['requested'] == row['admitted'] == (40 if row['set'] == 'strained' else 10)
        assert row['rejected'] == row['failed'] == []
        assert row['frames'] == row['admitted']
        assert set(row['per_element']) == {'Cu'}
    exact = rows['emt', 'strained']
    assert exact['force_mae_meV_A'] == pytest.approx(0, abs=1e-6)
    assert exact['virial_mae_meV_atom'] == pytest.approx(0, abs=1e-6)
    assert exact['force_slope'] == pytest.approx(1)
    tiny = rows['tiny', 'strained']
    assert 1 < tiny['force_mae_meV_A'] < 1000
    # The mean signed error is taken off: by its size at most the magnitudes differ.
    changed = abs(tiny['energy_mae_aligned_meV_atom'] - tiny['energy_mae_meV_atom'])
    assert changed <= abs(tiny['energy_mean_meV_atom']) + 1e-6
    along = rows['tiny', 'heated']['per_temperature']
    assert [row['frames'] for row in along] == [3, 5, 2]
    assert [row['temperature_K'] for row in along] == pytest.approx([250, 650, 1000])

    parity = node.outputs.parity
    points = parity.get_array('evaluate_0001_force')
    assert points.shape == (50, 2)
    [item] = copper_frames.sets()
    assert np.isin(points[:, 0], item.forces).all()

    plane = node.outputs.descriptor_map
    assert set(plane.get_arraynames()) == {'test_strained', 'test_heated', 'training_data', 'explained_variance'}
    assert plane.get_array('test_heated').shape == (8, 2)
    assert 0.5 < plane.get_array('explained_variance').sum() <= 1 + 1e-9

    text = report_text(node)
    for title in ('Errors on the test sets', 'By formula', 'By element', 'By temperature', 'tiny on heated: '):
        assert title in text
    assert 'Frames without a prediction' not in text
    assert tmp_path / 'report_card.png' in write_report(node, tmp_path)


def test_failures_are_reported_and_the_rest_is_attached(inputs, tmp_path):
    shown = {'method': 'tsne', 'max_frames': 5, 'potential': None}
    given = inputs({'none': orm.Dict({'name': 'nowhere:Nothing'})}, descriptors=shown)
    del given['test_sets']['strained']
    _, node = run_get_node(ValidateWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_TESTS_FAILED.status
    assert '`label_0001_none_heated`' in node.exit_message
    rows = rows_of(node)
    assert rows['tiny', 'heated']['admitted'] == 10
    lost = rows['none', 'heated']
    assert (lost['requested'], lost['admitted'], len(lost['failed'])) == (10, 0, 10)
    assert 'nowhere' in lost['failed'][0]['reason']
    assert 'force_mae_meV_A' not in lost
    # Without a potential the frames are described by their radial distributions.
    assert node.outputs.descriptor_map.get_array('test_heated').shape == (5, 2)
    assert 'Frames without a prediction' in report_text(node)
    assert tmp_path / 'report_card.png' in write_report(node, tmp_path)


def test_crystals_are_relaxed_and_compared(codes, alloy_frames, metals):
    parameters = {**PARAMETERS, 'decomposition': {'alloy': -5.0}, 'relaxation': {'max_force': 0.02, 'steps': 400}}
    inputs = {
        'codes': {'python': codes['python']},
        'calculators': {'emt': orm.Dict({'name': 'emt'})},
        'test_sets': {'alloy': alloy_frames},
        'structures': metals,
        'parameters': orm.Dict(parameters),
    }
    _, node = run_get_node(ValidateWorkChain, **inputs)
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == []
    rows = {row['structure']: row for row in node.outputs.structures['rows']}
    assert set(rows) == {'copper', 'gold', 'alloy'}
    assert all(row['relaxed'] for row in rows.values())
    # EMT's own lattice constant of copper; ASE starts from 3.61 A.
    assert rows['copper']['lengths_A'][1] == pytest.approx(3.59, abs=0.02)
    assert rows['copper']['given_lengths_A'][1] == pytest.approx(3.61)
    assert rows['copper']['length_change_percent'][1] == pytest.approx(
        100 * (rows['copper']['lengths_A'][1] / 3.61 - 1)
    )
    assert rows['copper']['decomposition_meV_atom'] is None
    alloy = rows['alloy']
    # Three of its eight atoms are gold.
    assert alloy['decomposes_to'] == pytest.approx({'copper': 5 / 8, 'gold': 3 / 8})
    by_hand = alloy['energy_eV_atom'] - sum(
        part * rows[name]['energy_eV_atom'] for name, part in alloy['decomposes_to'].items()
    )
    assert alloy['decomposition_meV_atom'] == pytest.approx(1000 * by_hand)
    assert alloy['given_decomposition_meV_atom'] == -5.0
    assert 'Crystals' in report_text(node)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'heads': {'tiny': 'a'}}, '`tiny`'),
        ({'heads': {'other': 'a'}}, '`heads.other`'),
        ({'temperatures': {'cold': [1.0]}}, '`temperatures.cold`'),
        ({'temperatures': {'heated': [300.0]}}, '`temperatures.heated` has 1 .*10 frames'),
        ({'temperatures': {'strained': {'first': 1, 'last': 2, 'steps': 3}}}, '`temperatures.strained`'),
        (
            {'descriptors': {'potential': 'other', 'method': 'pca', 'max_frames': 9}},
            r'`descriptors.potential` \(other\)',
        ),
        ({'decomposition': {'alloy': 1.0}}, '`decomposition.alloy`'),
        ({'seed': -1}, '`seed`'),
    ],
)
def test_impossible_validations_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(ValidateWorkChain, **inputs(**changes))


def test_what_cannot_be_tested_is_refused(inputs, copper_frames, alloy_frames, make_frames):
    mixed = orm.StructureData(cell=3 * np.eye(3))
    mixed.append_atom(position=(0, 0, 0), symbols=['Cu', 'Au'], weights=[0.5, 0.5])
    bare = FramesData.from_sets([make_frames(labels=False)])
    for changes, message in (
        ({'potentials': {}}, 'potentials, calculators: '),
        ({'calculators': {'tiny': orm.Dict({'name': 'emt'})}}, 'calculators: .*`tiny`'),
        ({'calculators': {'emt': orm.Dict({'nam': 'emt'})}}, 'calculators.emt: calculator: `name`'),
        ({'test_sets': {'bare': bare}}, r'test_sets\.bare: '),
        ({'structures': {'mixed': mixed}}, r'structures.mixed: '),
        ({'training_data': copper_frames}, 'training_data: .*`descriptors`'),
        ({'test_sets': {'alloy': alloy_frames}}, r'potentials.tiny: .*Au.*\(test_sets.alloy\)'),
    ):
        with pytest.raises(ValueError, match=message):
            run_get_node(ValidateWorkChain, **{**inputs(), **changes})
