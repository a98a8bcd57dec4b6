"""A dataset made smaller: what is chosen and what is left are the whole, and the choice ends when the rest is known."""

from __future__ import annotations

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import ArrayData, Dict

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.select_informative import select_informative
from aiida_dpasse.explore.simplify import SimplifyWorkChain
from aiida_dpasse.reports.provenance import orphans

EXIT = SimplifyWorkChain.exit_codes
CHOICE = {'low': 0.1, 'high': None, 'max_candidates': 3, 'choice': 'random', 'seed': 1}


@pytest.fixture
def inputs(codes, copper_frames, tiny_training):
    """Inputs; keywords change the parameters."""

    def make(**changes):
        parameters = {
            **{'initial': 0.3, 'max_simplify_iterations': 1, 'accurate_fraction': 0.9, 'low': 0.001, 'high': None},
            **{'max_candidates': 6, 'choice': 'diverse', 'seed': 1},
            'committee': {'members': 2, 'minimum_members': 2, 'train': tiny_training, 'seed': 1},
        }
        return {
            'codes': {name: codes[name] for name in SimplifyWorkChain.CODES},
            'frames': copper_frames,
            'parameters': Dict(parameters | changes),
        }

    return make


def test_what_the_committee_does_not_know_is_added(inputs, copper_frames):
    outputs, node = run_get_node(SimplifyWorkChain, **inputs())
    assert node.exit_status == EXIT.ERROR_NOT_CONVERGED.status, node.exit_message
    assert '0.000' in node.exit_message
    [row] = outputs['iterations']['iterations']
    assert (row['what'], row['iteration']) == ('iteration', 0)
    assert (row['frames'], row['sampled'], row['chosen']) == (12, 28, 6)
    assert (outputs['frames'].frames, outputs['rest'].frames) == (18, 22)
    assert sorted([*outputs['frames'].ids(), *outputs['rest'].ids()]) == sorted(copper_frames.ids())
    assert outputs['frames'].labels == copper_frames.labels
    assert sorted(outputs['potentials']) == ['member_00', 'member_01']
    assert orphans(node) == []


def test_a_rest_that_is_known_ends_the_choice(inputs):
    outputs, node = run_get_node(SimplifyWorkChain, **inputs(low=1e6))
    assert node.is_finished_ok, node.exit_message
    assert (outputs['frames'].frames, outputs['rest'].frames) == (12, 28)
    assert len(outputs['iterations']['iterations']) == 1


def select(frames, deviations, **changes):
    """Run the choice on frames with these deviations."""
    deviation = ArrayData()
    deviation.set_array('max_devi_f', np.asarray(deviations, dtype=float))
    return select_informative(frames, deviation, Dict(CHOICE | changes))


def test_the_choice_by_numbers(aiida_profile, make_frames):
    frames = FramesData.from_sets([make_frames('Li Li S', 4, seed=1), make_frames('Cl Li', 3, seed=2)])
    deviations = [0.05, 0.2, 0.3, 0.0, 0.4, np.nan, 0.9]
    outputs = select(frames, deviations, max_candidates=9)
    assert outputs['statistics'].get_dict() == {
        **{'sampled': 7, 'accurate': 2, 'candidate': 4, 'failed': 1, 'chosen': 4},
        'deviation_median': pytest.approx(0.25),
    }
    ids = np.array(frames.ids())
    assert set(outputs['chosen'].ids()) == set(ids[[1, 2, 4, 6]])
    assert set(outputs['rest'].ids()) == set(ids[[0, 3, 5]])
    assert outputs['chosen'].labelled
    assert set(select(frames, deviations, max_candidates=9, high=0.35)['chosen'].ids()) == set(ids[[1, 2]])
    # The seed decides which of many; none is an answer.
    assert select(frames, deviations)['chosen'].frames == 3
    assert select(frames, deviations)['chosen'].ids() == select(frames, deviations)['chosen'].ids()
    assert 'chosen' not in select(frames, np.zeros(7))
    assert 'rest' not in select(frames, np.ones(7), max_candidates=9)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'initial': 40}, '`initial` takes 40 of 40'),
        ({'high': 0.0005}, r'`high` \(0.0005\) .*`low` \(0.001\)'),
        ({'initial': 1.5}, '`initial`'),
        ({'initial': '40'}, '`initial` takes 40 of 40'),
        ({'max_simplify_iterations': 0}, '`max_simplify_iterations`'),
    ],
)
def test_impossible_choices_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(SimplifyWorkChain, **inputs(**changes))
