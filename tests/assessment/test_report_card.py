"""The report card against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.assessment.errors import Prediction
from aiida_dpasse.assessment.report_card import error_of_mean, frame_temperatures, match, report_card


def soft(item, energy: float, factor: float) -> Prediction:
    """Return labels with ``energy`` (eV) more for each atom and forces times ``factor``."""
    return Prediction(item.energies + energy * item.natoms, factor * item.forces, item.virials)


def test_a_soft_potential_that_is_too_low(pair_frames):
    """Energies 20 and 40 meV/atom too low, forces 0.8 of the reference."""
    pairs = [(pair_frames[0], soft(pair_frames[0], -0.02, 0.8)), (pair_frames[1], soft(pair_frames[1], -0.04, 0.8))]
    card = report_card(pairs)
    assert card['frames'] == 12
    assert card['energy_mean_meV_atom'] == pytest.approx(-30)
    assert card['energy_mae_meV_atom'] == pytest.approx(30)
    assert card['force_slope'] == pytest.approx(0.8)
    # Two compositions of three elements: constants for the elements take all of it.
    assert card['energy_mae_aligned_meV_atom'] == pytest.approx(0, abs=1e-9)
    # Six frames at 20 and six at 40: a deviation of 10 from the mean, twelve frames.
    assert card['energy_mae_error_meV_atom'] == pytest.approx(10 / np.sqrt(11))
    assert card['per_formula']['Cl4Li4']['energy_mean_meV_atom'] == pytest.approx(-20)
    assert {name: row['force_slope'] for name, row in card['per_element'].items()} == pytest.approx(
        {'Cl': 0.8, 'Li': 0.8, 'S': 0.8}
    )
    sulphur = pair_frames[1].forces[:, np.array(pair_frames[1].symbols) == 'S']
    assert card['per_element']['S']['force_mae_meV_A'] == pytest.approx(200 * np.abs(sulphur).mean())
    assert card['per_element']['S']['atoms'] == 12
    assert 'per_temperature' not in card


def test_errors_that_grow_with_the_temperature(pair_frames):
    item = pair_frames[0].with_origin(steps=np.arange(0, 600, 100))
    kelvin = frame_temperatures([item], {'first': 150, 'last': 1150, 'steps': 500})
    assert kelvin == pytest.approx([150, 350, 550, 750, 950, 1150])
    errors = 1e-5 * kelvin
    prediction = Prediction(item.energies + errors * item.natoms, item.forces, item.virials)
    rows = report_card([(item, prediction)], kelvin, 400.0)['per_temperature']
    assert [row['frames'] for row in rows] == [2, 2, 2]
    assert [row['temperature_K'] for row in rows] == pytest.approx([250, 650, 1050])
    assert [row['energy_mae_meV_atom'] for row in rows] == pytest.approx([2.5, 6.5, 10.5])
    assert frame_temperatures([item], [300] * 6) == pytest.approx([300] * 6)


def test_the_error_of_a_mean_is_that_of_repeated_draws():
    rng = np.random.default_rng(3)
    counts = rng.choice([3, 30], size=(400, 50))
    sums = rng.exponential(size=counts.shape) * counts
    means = sums.sum(1) / counts.sum(1)
    errors = [error_of_mean(s, c) for s, c in zip(sums, counts, strict=True)]
    assert np.mean(errors) == pytest.approx(means.std(), rel=0.1)
    assert error_of_mean([1.0], [1.0]) is None


def test_frames_are_matched_by_what_they_are(pair_frames):
    """In another order, one given twice, one without a label."""
    first, second = pair_frames
    given = [first.take([0, 1, 1, 2]), second]
    labelled = [second, first.take([2, 1])]
    pairs, mask = match(given, labelled)
    assert mask.tolist() == [False, True, True, True] + [True] * 6
    assert [len(item) for item, _ in pairs] == [3, 6]
    for item, prediction in pairs:
        assert np.array_equal(prediction.energies, item.energies)
        assert np.array_equal(prediction.forces, item.forces)
    # A calculator without stress has no error of it.
    pairs, _ = match([first], [first.with_labels(first.energies, first.forces)])
    assert 'virial_mae_meV_atom' not in report_card(pairs)
    assert match([first], [])[0] == []
