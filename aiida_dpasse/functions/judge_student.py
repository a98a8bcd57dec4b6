"""From what student and teacher did to the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.deepmd.acceptance import (
    Check,
    at_most,
    compare_activation,
    compare_diffusion,
    energy_drift,
    unknown,
    verdict,
)
from aiida_dpasse.deepmd.frameset import concatenate
from aiida_dpasse.functions.plan_acceptance import POTENTIALS
from aiida_dpasse.structures.radial import compare_radial

#: Width of the bins of a radial distribution, A.
BIN = 0.1


@calcfunction
def judge_student(limits: orm.Dict, **parts: orm.Data) -> orm.Dict:
    """Return ``accepted``, ``reason`` and ``checks``.

    :param limits: ``limits`` by name, null for what is not asked, ``rdf_cutoff`` (A), and ``timestep`` (fs) of the run
        at constant energy.
    :param parts: ``against_teacher`` and ``against_reference``, results of `dpasse.evaluate`; by structure
        ``hot_student_<label>`` and ``hot_teacher_<label>``, results of the long hot runs, and ``frames_...`` sampled in
        them; ``drift_thermo_<label>`` and ``drift_results_<label>`` of the student's run at constant energy;
        ``failed_<run>``, the results of a run of the student that did not end well;
        ``transport_<potential>_<label>`` and ``arrhenius_<potential>_<label>``.
    """
    given = limits['limits']
    checks = [
        *_errors(parts, given),
        *_survival(parts),
        *_stability(parts, given, limits['rdf_cutoff'], limits['timestep']),
        *_transport(parts, given),
        *_speed(parts, given),
    ]
    return orm.Dict(verdict(checks))


def _labels(parts: Mapping[str, Any], start: str) -> list[str]:
    return sorted(key.removeprefix(start) for key in parts if key.startswith(start))


def _errors(parts: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Check]:
    if (node := parts.get('against_teacher')) is not None:
        found = node['student']
        for name, key, unit in (
            ('force_mae', 'force_mae_meV_A', 'meV/A'),
            ('energy_mae', 'energy_mae_meV_atom', 'meV/atom'),
        ):
            if given[name] is not None:
                what = f'The mean absolute error of the {name.partition("_")[0]} against the teacher'
                yield at_most(name, found[key], given[name], what, unit)
    if (node := parts.get('against_reference')) is not None and given['error_ratio'] is not None:
        student, teacher = (node[name]['force_mae_meV_A'] for name in POTENTIALS)
        what = f'The force error against the reference ({student:.0f} meV/A) over that of the teacher ({teacher:.0f})'
        yield at_most('error_ratio', student / teacher, given['error_ratio'], what)


def _survival(parts: Mapping[str, Any]) -> Iterator[Check]:
    for run in _labels(parts, 'failed_'):
        result = parts[f'failed_{run}']
        says = f'The student does not survive the run {run}: it ended at step {result["step"]} of {result["steps"]}.'
        yield Check(f'survives_{run}', float(result['step']), float(result['steps']), False, says)
    for label in _labels(parts, 'hot_student_'):
        result = parts[f'hot_student_{label}']
        says = f'The student kept {label} together for {result["step"]} steps, all {result["atoms"]} atoms there.'
        yield Check(f'survives_hot_{label}', float(result['step']), float(result['steps']), True, says)


def _stability(parts: Mapping[str, Any], given: Mapping[str, Any], cutoff: float, timestep: float) -> Iterator[Check]:
    for label in _labels(parts, 'drift_thermo_'):
        if given['energy_drift'] is not None:
            table, result = parts[f'drift_thermo_{label}'], parts[f'drift_results_{label}']
            steps, energies = table.get_array('step'), table.get_array('total_energy_eV')
            inside = steps >= result['production_start']
            drift = energy_drift(1e-3 * timestep * steps[inside], energies[inside], result['atoms'])
            what = f'The drift of the energy of {label}'
            yield at_most(f'energy_drift_{label}', drift, given['energy_drift'], what, 'meV/atom/ps')
    for label in _labels(parts, 'hot_student_'):
        if f'hot_teacher_{label}' not in parts:
            continue
        volumes = [parts[f'hot_{name}_{label}']['volume_mean_A3'] for name in POTENTIALS]
        if given['density_change'] is not None:
            # At equal mass.
            change = abs(volumes[1] / volumes[0] - 1)
            yield at_most(f'density_{label}', change, given['density_change'], f'The change of the density of {label}')
        if given['rdf_mismatch'] is not None:
            student, teacher = (concatenate(parts[f'frames_{name}_{label}'].sets())[0] for name in POTENTIALS)
            value, noise = compare_radial(student, teacher, np.arange(0, cutoff + BIN / 2, BIN))
            what = f'The part of the neighbours in {label} that stand at other distances than with the teacher'
            yield at_most(f'rdf_{label}', value, given['rdf_mismatch'], what, noise=noise)


def _transport(parts: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Check]:
    for label in _labels(parts, 'transport_student_'):
        other = parts.get(f'transport_teacher_{label}')
        if other is None:
            yield unknown(f'diffusion_{label}', f'No dynamics of {label} with the teacher ended well.')
            continue
        if given['diffusion_deviation'] is not None:
            mine, limit = parts[f'transport_student_{label}'], given['diffusion_deviation']
            yield from compare_diffusion(mine['temperatures'], other['temperatures'], limit, f'_{label}')
        lines = [parts.get(f'arrhenius_{name}_{label}') for name in POTENTIALS]
        if given['activation_deviation'] is not None and all(line is not None for line in lines):
            tables = [line.get_dict() for line in lines if line is not None]
            yield compare_activation(tables[0], tables[1], given['activation_deviation'], f'_{label}')


def _speed(parts: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[Check]:
    for label in _labels(parts, 'hot_student_'):
        if given['speedup'] is None or f'hot_teacher_{label}' not in parts:
            continue
        student, teacher = (parts[f'hot_{name}_{label}']['katom_steps_per_s'] for name in POTENTIALS)
        ratio, limit = student / teacher, given['speedup']
        compared = f'{"at least" if ratio >= limit else "less than"} {limit:g}'
        speeds = f'({student:.3g} against {teacher:.3g} katom-step/s)'
        says = f'The student is {ratio:.3g} times as fast {speeds}, {compared}.'
        yield Check(f'speedup_{label}', ratio, limit, bool(ratio >= limit), says)
