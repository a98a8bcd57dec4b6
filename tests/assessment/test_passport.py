"""Slopes, intervals, signs and verdicts of a passport on constructed frames, whose right values are known."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.assessment.errors import Prediction
from aiida_dpasse.assessment.passport import (
    OPPOSITE,
    SAME,
    SOFT,
    STIFF,
    UNDETERMINED,
    Slope,
    bootstrap_weights,
    passport,
    slope_through_origin,
    slope_within_groups,
    virial_slopes,
)
from aiida_dpasse.deepmd.frameset import FrameSet


def reference(symbols: str = 'Li Li S', frames: int = 30, seed: int = 1, virials: bool = True) -> FrameSet:
    """Random frames with random labels; the sum of the forces is zero."""
    names, rng = symbols.split(), np.random.default_rng(seed)
    forces = rng.normal(size=(frames, len(names), 3))
    virial = rng.normal(size=(frames, 3, 3))
    return FrameSet.sort_atoms(
        names,
        np.eye(3) * 6 + np.zeros((frames, 3, 3)),
        rng.uniform(0, 6, size=(frames, len(names), 3)),
        energies=rng.normal(size=frames),
        forces=forces,
        **({'virials': virial + virial.transpose(0, 2, 1)} if virials else {}),
    )


def scaled(item: FrameSet, by_element: dict[str, float], virial: float = 1.0, offset: float = 0.0) -> Prediction:
    """Forces times a factor for each element, virials times another, plus a pressure that is the same in all frames."""
    factors = np.array([by_element[symbol] for symbol in item.symbols])
    virials = np.zeros((len(item), 3, 3)) if item.virials is None else virial * item.virials + offset * np.eye(3)
    return Prediction(item.energies, item.forces * factors[:, None], virials)


def test_slopes_of_exactly_scaled_forces_have_no_width():
    """Without scatter every bootstrap sample gives the same slope; over all atoms it depends on the sample."""
    item = reference()
    found = passport([(item, scaled(item, {'Li': 0.7, 'S': 0.95}))])
    for element, factor in (('Li', 0.7), ('S', 0.95)):
        row = found['per_element'][element]
        assert row['slope'] == pytest.approx(factor)
        assert row['interval'] == pytest.approx([factor, factor])
        assert row['reverse_slope'] == pytest.approx(1 / factor)
    lithium, sulphur = (np.square(item.forces[:, part]).sum() for part in (slice(0, 2), slice(2, 3)))
    whole = (0.7 * lithium + 0.95 * sulphur) / (lithium + sulphur)
    assert found['forces']['slope'] == pytest.approx(whole)
    assert found['forces']['interval'][0] < whole < found['forces']['interval'][1]
    assert {name: row['verdict'] for name, row in found['per_element'].items()} == {'Li': SOFT, 'S': STIFF}
    # One soft element is enough.
    assert found['verdict'] == SOFT
    assert found['per_element']['S']['atoms'] == 30
    expected = 300 * np.sqrt(np.square(item.forces[:, :2]).mean())
    assert found['per_element']['Li']['force_rmse_meV_A'] == pytest.approx(expected)


def test_frames_without_an_element_do_not_count_for_it():
    first, second = reference('Li S', 12), reference('Li Cl', 15, seed=2)
    factors = {'Li': 1.0, 'S': 1.0, 'Cl': 0.5}
    found = passport([(first, scaled(first, factors)), (second, scaled(second, factors))])
    assert found['frames'] == 27
    assert found['formulas'] == {'Cl1Li1': 15, 'Li1S1': 12}
    assert {name: row['frames'] for name, row in found['per_element'].items()} == {'Cl': 15, 'Li': 27, 'S': 12}
    assert found['per_element']['Cl']['slope'] == pytest.approx(0.5)


def test_the_interval_is_that_of_repeated_draws():
    """The standard deviation of the slope over many sets of frames is half the width of the interval of one set."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 40, 30))
    y = 0.9 * x + rng.normal(scale=0.4, size=x.shape)
    products, squares = (x * y).sum(2), np.square(x).sum(2)
    slopes, halves, inside = [], [], 0
    for p, q in zip(products, squares, strict=True):
        slope = slope_through_origin(p, q, bootstrap_weights(40, 400, rng))
        slopes.append(slope.value)
        halves.append((slope.interval[1] - slope.interval[0]) / 2)
        inside += slope.interval[0] < 0.9 < slope.interval[1]
    assert np.mean(slopes) == pytest.approx(0.9, abs=0.003)
    assert np.mean(halves) == pytest.approx(np.std(slopes), rel=0.1)
    assert inside / 300 == pytest.approx(0.68, abs=0.08)


@pytest.mark.parametrize(
    ('slope', 'verdict', 'needed'),
    [
        (Slope(0.95, (0.94, 0.96), 20), STIFF, 10),
        (Slope(0.80, (0.79, 0.81), 20), SOFT, 10),
        # Four times as many frames halve the distance between slope and lower end.
        (Slope(0.87, (0.83, 0.91), 20), UNDETERMINED, 80),
        (Slope(0.83, (0.80, 0.85), 20), UNDETERMINED, 20),
        (Slope(0.95, (0.94, 0.96), 9), UNDETERMINED, 10),
        (Slope(0.95, None, 1), UNDETERMINED, None),
        (Slope(None, None, 20), UNDETERMINED, None),
    ],
)
def test_verdict_and_number_of_frames(slope, verdict, needed):
    assert slope.verdict(0.85, 10) == verdict
    assert slope.frames_to_decide(0.85, 10) == needed


def test_too_few_frames_are_undetermined():
    item = reference(frames=5)
    found = passport([(item, scaled(item, {'Li': 0.5, 'S': 0.5}))])
    assert found['verdict'] == found['forces']['verdict'] == UNDETERMINED
    assert found['frames_to_decide'] == 10
    single = passport([(item.take([0]), scaled(item.take([0]), {'Li': 0.5, 'S': 0.5}))])
    assert single['forces']['slope'] == pytest.approx(0.5)
    assert single['forces']['interval'] is None
    assert single['verdict'] == UNDETERMINED


def test_stiff_forces_are_accepted_whatever_the_zero_of_the_energy():
    """Two compositions and two elements: a constant for each element takes the difference of the references."""
    first, second = reference('Li S'), reference('Li Li S', seed=3)
    factors, shift = {'Li': 0.97, 'S': 0.99}, {'Li': -0.3, 'S': 1.2}
    pairs = []
    for item in (first, second):
        made = scaled(item, factors)
        own = sum(shift[symbol] for symbol in item.symbols)
        pairs.append((item, Prediction(made.energies + own, made.forces, made.virials)))
    found = passport(pairs)
    assert found['verdict'] == STIFF
    assert found['frames_to_decide'] is None
    assert found['errors']['energy_rmse_meV_atom'] == pytest.approx(0, abs=1e-6)
    assert found['errors']['energy_offset_meV_atom'] == pytest.approx(500 * (0.9 / 2 + 0.6 / 3))
    assert found['errors']['virial_mae_meV_atom'] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(('factor', 'sign'), [(0.8, SAME), (-1.0, OPPOSITE)])
def test_sign_and_slope_of_the_virial(factor, sign):
    """A pressure that is added to all frames of a formula does not change the slope of the isotropic part."""
    first, second = reference('Li S'), reference('Li Li S', seed=3)
    bare = reference('Li S', 5, seed=4, virials=False)
    factors = {'Li': 1.0, 'S': 1.0}
    pairs = [(first, scaled(first, factors, factor, 4.0)), (second, scaled(second, factors, factor, 9.0))]
    found = virial_slopes([*pairs, (bare, scaled(bare, factors))], 200, np.random.default_rng(1))
    assert found['frames'] == 60
    for part in ('deviatoric', 'isotropic'):
        assert found[part]['slope'] == pytest.approx(factor)
        assert found[part]['interval'] == pytest.approx([factor, factor])
        assert found[part]['sign'] == sign
    assert ('opposite' in passport(pairs)['reason']) == (sign == OPPOSITE)


def test_frames_without_virials_have_no_slope_of_them():
    bare = reference(virials=False)
    found = passport([(bare, scaled(bare, {'Li': 1.0, 'S': 1.0}))])
    assert found['virial'] is None
    assert 'virial_mae_meV_atom' not in found['errors']


def test_the_slope_within_groups_is_that_of_a_fit_with_an_intercept():
    rng = np.random.default_rng(2)
    x = rng.normal(size=50) + 7
    y = 0.8 * x + rng.normal(scale=0.1, size=50)
    slope = slope_within_groups(x, y, ['a'] * 50, bootstrap_weights(50, 200, rng))
    assert slope.value == pytest.approx(np.polyfit(x, y, 1)[0])
    assert slope.interval[0] < 0.8 < slope.interval[1]
    assert slope.sign() == SAME


def test_values_that_are_all_zero_have_no_slope():
    weights = bootstrap_weights(12, 200, np.random.default_rng(1))
    assert slope_through_origin(np.zeros(12), np.zeros(12), weights) == Slope(None, None, 12)
    assert Slope(None, None, 12).sign() == UNDETERMINED


def test_the_same_seed_gives_the_same_passport():
    item = reference()
    noisy = scaled(item, {'Li': 0.9, 'S': 0.9})
    noisy = Prediction(
        noisy.energies, noisy.forces + np.random.default_rng(5).normal(size=noisy.forces.shape), noisy.virials
    )
    assert passport([(item, noisy)], seed=3) == passport([(item, noisy)], seed=3)
    assert passport([(item, noisy)], seed=3) != passport([(item, noisy)], seed=4)


def test_the_reverse_slope_separates_softness_from_scatter():
    """A fit by least squares underestimates forces by its scatter: the slope is below 1, the reverse slope is 1."""
    item = reference(frames=400)
    rng = np.random.default_rng(6)
    source = item.forces * 0.8
    item = item.with_labels(item.energies, source + rng.normal(scale=0.4, size=source.shape), item.virials)
    found = passport([(item, Prediction(item.energies, source, item.virials))])['forces']
    assert found['reverse_slope'] == pytest.approx(1, abs=0.02)
    assert found['slope'] == pytest.approx(0.8, abs=0.02)
