"""The checks of a student, against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_dpasse.assessment.acceptance import (
    at_most,
    compare_activation,
    compare_diffusion,
    energy_drift,
    unknown,
    verdict,
)


def row(kelvin, value, error=0.1, diffusive=True):
    reason = 'It grows linearly.' if diffusive else 'The ions rattle.'
    return {
        'temperature_K': kelvin,
        'diffusivity_cm2_s': value,
        'error_cm2_s': error,
        'diffusive': diffusive,
        'reason': reason,
    }


def test_a_drift_is_the_slope():
    times = np.linspace(0, 10, 101)
    energies = -5.0 + 0.04 * times + 0.01 * np.sin(40 * times)
    assert energy_drift(times, energies, 8) == pytest.approx(5.0, rel=0.02)
    assert energy_drift(times, -energies, 8) == pytest.approx(5.0, rel=0.02)


def test_noise_of_the_reference_does_not_fail_the_student():
    assert at_most('rdf', 0.04, 0.05, 'It').passed
    assert not at_most('rdf', 0.06, 0.05, 'It').passed
    allowed = at_most('rdf', 0.06, 0.05, 'It', noise=0.07)
    assert allowed.passed
    assert '0.05' in allowed.says


def test_diffusion_is_compared_in_standard_errors():
    [check] = compare_diffusion([row(600, 1.3)], [row(600, 1.0)], 3.0)
    assert check.value == pytest.approx(0.3 / np.hypot(0.1, 0.1))
    assert check.passed
    [check] = compare_diffusion([row(600, 1.6)], [row(600, 1.0)], 3.0)
    assert check.passed is False
    [check] = compare_diffusion([row(600, 1.6)], [row(600, None, None, False)], 3.0)
    assert check.passed is False
    assert 'only with the student' in check.says
    [check] = compare_diffusion([row(600, None, None, False)], [row(600, 1.0)], 3.0)
    assert check.passed is False
    [check] = compare_diffusion([row(300, None, None, False)], [row(300, None, None, False)], 3.0)
    assert check.passed is None
    assert [check.passed for check in compare_diffusion([row(300, 1.0)], [row(600, 1.0)], 3.0)] == [None]


def test_activation_energies_are_compared_in_standard_errors():
    line = {'activation_energy_eV': 0.30, 'activation_energy_error_eV': 0.03}
    other = {'activation_energy_eV': 0.20, 'activation_energy_error_eV': 0.04}
    assert compare_activation(line, other, 3.0).value == pytest.approx(2.0)
    assert compare_activation(line, {'activation_energy_eV': None}, 3.0).passed is None


def test_one_failure_refuses_and_nothing_known_accepts_nothing():
    good, bad, open_ = at_most('a', 1, 2, 'A'), at_most('b', 3, 2, 'B', 'eV'), unknown('c', 'C is not known.')
    assert verdict([good, open_])['accepted']
    refused = verdict([good, bad, open_])
    assert not refused['accepted']
    assert refused['reason'] == bad.says
    assert [check['passed'] for check in refused['checks']] == [True, False, None]
    assert not verdict([open_])['accepted']
    assert not verdict([])['accepted']
