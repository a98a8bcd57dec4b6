"""Acceptance of a student potential in place of its teacher: checks that each have a value, a limit and a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Check:
    """One acceptance criterion.

    :param name: of the check.
    :param value: the value found, None if undetermined.
    :param limit: largest value that passes.
    :param passed: None if it could not be decided.
    :param says: the result as a sentence.
    """

    name: str
    value: float | None
    limit: float | None
    passed: bool | None
    says: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


def at_most(name: str, value: float, limit: float, what: str, unit: str = '', noise: float = 0.0) -> Check:
    """Return the check that ``value`` is at most ``limit``, or at most ``noise`` if that is larger.

    :param name: of the check.
    :param value: the value found.
    :param limit: largest value that passes.
    :param what: subject of the sentence.
    :param unit: of value and limit.
    :param noise: statistical uncertainty of the reference.
    """
    bound = max(limit, noise)
    unit = f' {unit}' if unit else ''
    relation = 'at most' if value <= bound else 'more than'
    why = f' (the noise, above the limit {limit:.3g})' if noise > limit else ''
    return Check(name, value, limit, bool(value <= bound), f'{what} is {value:.3g}{unit}, {relation} {bound:.3g}{why}.')


def unknown(name: str, says: str) -> Check:
    """Return a check without result.

    :param name: of the check.
    :param says: why there is no result.
    """
    return Check(name, None, None, None, says)


def energy_drift(times: ArrayLike, energies: ArrayLike, atoms: int) -> float:
    """Return the absolute drift of the total energy in meV/(atom ps), the slope of a straight line.

    :param times: (n,) ps, at least two.
    :param energies: (n,) eV.
    :param atoms: number of atoms.
    """
    slope = np.polyfit(np.asarray(times, dtype=float), np.asarray(energies, dtype=float), 1)[0]
    return float(1000 * abs(slope) / atoms)


def compare_diffusion(
    student: Iterable[Mapping[str, Any]], teacher: Iterable[Mapping[str, Any]], limit: float, where: str = ''
) -> list[Check]:
    """Return one check per temperature: that D differs by at most ``limit`` standard errors.

    If the ions diffuse with only one of the potentials, the student fails; if with neither, the check has no result.

    :param student: rows with ``temperature_K``, ``diffusive``, ``diffusivity_cm2_s``, ``error_cm2_s`` and ``reason``.
    :param teacher: likewise.
    :param limit: standard errors of the difference.
    :param where: appended to the names of the checks.
    """
    reference = {row['temperature_K']: row for row in teacher}
    checks = []
    for row in student:
        kelvin = row['temperature_K']
        name, other = f'diffusion{where}_{kelvin:g}K', reference.get(kelvin)
        if other is None:
            checks.append(unknown(name, f'The teacher was not run at {kelvin:g} K.'))
        elif row['diffusive'] != other['diffusive']:
            who = ('student', 'teacher')[int(other['diffusive'])]
            says = f'At {kelvin:g} K the ions diffuse only with the {who}: {row["reason"]} {other["reason"]}'
            checks.append(Check(name, None, limit, False, says))
        elif not row['diffusive']:
            checks.append(unknown(name, f'At {kelvin:g} K the ions diffuse with neither potential: {row["reason"]}'))
        else:
            error = np.hypot(row['error_cm2_s'], other['error_cm2_s'])
            value = abs(row['diffusivity_cm2_s'] - other['diffusivity_cm2_s']) / error
            what = (
                f'D at {kelvin:g} K is {row["diffusivity_cm2_s"]:.2e} cm2/s with the student and '
                f'{other["diffusivity_cm2_s"]:.2e} with the teacher: the difference'
            )
            checks.append(at_most(name, float(value), limit, what, 'standard errors'))
    return checks


def compare_activation(student: Mapping[str, Any], teacher: Mapping[str, Any], limit: float, where: str = '') -> Check:
    """Return the check that the activation energies differ by at most ``limit`` standard errors.

    :param student: with ``activation_energy_eV`` and ``activation_energy_error_eV``.
    :param teacher: likewise.
    :param limit: standard errors of the difference.
    :param where: appended to the name of the check.
    """
    name, key = f'activation_energy{where}', 'activation_energy_eV'
    if student.get(key) is None or teacher.get(key) is None:
        return unknown(name, 'The activation energy is undetermined with at least one potential.')
    errors = [row['activation_energy_error_eV'] for row in (student, teacher)]
    value = abs(student[key] - teacher[key]) / float(np.hypot(*errors))
    what = f'The activation energy is {student[key]:.3f} eV with the student, {teacher[key]:.3f} with the teacher'
    return at_most(name, float(value), limit, f'{what}: the difference', 'standard errors')


def verdict(checks: Iterable[Check]) -> dict[str, Any]:
    """Return whether the student is ``accepted``: no check failed, and at least one passed.

    :param checks: the checks.
    :returns: ``accepted``, the ``reason`` as a sentence, and the ``checks`` as plain values.
    """
    rows = list(checks)
    failed = [check for check in rows if check.passed is False]
    passed = [check for check in rows if check.passed]
    if failed:
        reason = ' '.join(check.says for check in failed)
    elif not passed:
        reason = 'All checks are undetermined: ' + ' '.join(check.says for check in rows)
    else:
        open_ = len(rows) - len(passed)
        reason = f'{len(passed)} checks passed{f", {open_} are undetermined" if open_ else ""}.'
    return {'accepted': bool(passed and not failed), 'reason': reason, 'checks': [check.as_dict() for check in rows]}
