"""Judge a student from its results and those of its teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.acceptance import (
    Check,
    at_most,
    compare_activation,
    compare_diffusion,
    energy_drift,
    unknown,
    verdict,
)
from aiida_dpasse.deepmd.frameset import concatenate
from aiida_dpasse.distill.plan_acceptance import POTENTIALS
from aiida_dpasse.runs import Runs
from aiida_dpasse.structures.radial import compare_radial

#: Width of the bins of a radial distribution, A.
BIN = 0.1


@calcfunction
def judge_student(limits: orm.Dict, runs: orm.Dict, **inputs: dict[str, Any]) -> orm.Dict:
    """Judge a student against its limits.

    :param limits: ``limits`` by name, null for those that are switched off, ``rdf_cutoff`` (A), and ``timestep`` (fs)
        of the run at constant energy.
    :param runs: record of every run, test and transport calculation, by id.
    :param inputs: nodes by id: ``evaluations``, results of `dpasse.evaluate`; ``results`` of successful runs of
        `dpasse.md` and ``failed``, those of failed runs; ``frames`` sampled in the hot runs; ``thermo`` of the runs at
        constant energy; ``transport`` and ``arrhenius`` of `dpasse.conductivity`.
    :return: ``accepted``, ``reason`` and ``checks``.
    """
    found = Found(Runs.from_dict(runs.get_dict()), inputs)
    given = limits['limits']
    checks = [
        *_errors(found, given),
        *_survival(found),
        *_stability(found, given, limits['rdf_cutoff'], limits['timestep']),
        *_transport(found, given),
        *_speed(found, given),
    ]
    return orm.Dict(verdict(checks))


@dataclass(frozen=True)
class Found:
    """Output nodes of the runs, looked up by the record of the run.

    :param runs: all planned runs.
    :param nodes: nodes by kind and run id.
    """

    runs: Runs
    nodes: Mapping[str, Mapping[str, Any]]

    def get(self, kind: str, what: str, **fields: Any) -> Any:
        """Return the node of ``kind`` of the run with these fields, or None if it does not exist."""
        runs = self.runs.select(what=what, **fields)
        return self.nodes.get(kind, {}).get(runs[0].id) if runs else None

    def structures(self, kind: str, what: str, **fields: Any) -> list[str]:
        """Return the structures for which a node of ``kind`` exists."""
        runs = self.runs.select(what=what, **fields)
        return [str(run.structure) for run in runs if run.id in self.nodes.get(kind, {})]

    def pair(self, kind: str, what: str, structure: str) -> list[Any]:
        """Return the nodes of student and teacher, None for a missing one."""
        return [self.get(kind, what, structure=structure, potential=name) for name in POTENTIALS]

    def compared(self) -> list[str]:
        """Return the structures whose hot run succeeded with both potentials."""
        return [s for s in self.structures('results', 'hot', potential='student') if self.pair('results', 'hot', s)[1]]


def _errors(found: Found, given: Mapping[str, Any]) -> Iterator[Check]:
    if (node := found.get('evaluations', 'against_teacher')) is not None:
        errors = node['student']
        for name, key, quantity, unit in (
            ('force_mae', 'force_mae_meV_A', 'force', 'meV/A'),
            ('energy_mae', 'energy_mae_meV_atom', 'energy', 'meV/atom'),
        ):
            if given[name] is not None:
                what = f'The mean absolute error of the {quantity} against the teacher'
                yield at_most(name, errors[key], given[name], what, unit)
    if (node := found.get('evaluations', 'against_reference')) is not None and given['error_ratio'] is not None:
        student, teacher = (node[name]['force_mae_meV_A'] for name in POTENTIALS)
        what = f'The force error against the reference ({student:.0f} meV/A) over that of the teacher ({teacher:.0f})'
        yield at_most('error_ratio', student / teacher, given['error_ratio'], what)
    elif given['error_ratio'] is not None:
        yield unknown('error_ratio', 'There are no frames with reference labels: give `test_data`.')


def _survival(found: Found) -> Iterator[Check]:
    for key, node in sorted(found.nodes.get('failed', {}).items()):
        run, result = found.runs[key], node.get_dict()
        name = f'{run.what}_{run.structure}'
        says = f'The run {name} of the student ended at step {result["step"]} of {result["steps"]}.'
        yield Check(f'survives_{name}', float(result['step']), float(result['steps']), False, says)
    for label in found.structures('results', 'hot', potential='student'):
        result = found.get('results', 'hot', structure=label, potential='student')
        says = f'The run of {label} with the student finished {result["step"]} steps with all {result["atoms"]} atoms.'
        yield Check(f'survives_hot_{label}', float(result['step']), float(result['steps']), True, says)


def _stability(found: Found, given: Mapping[str, Any], cutoff: float, timestep: float) -> Iterator[Check]:
    for label in found.structures('thermo', 'drift'):
        if given['energy_drift'] is not None:
            table, result = (found.get(kind, 'drift', structure=label) for kind in ('thermo', 'results'))
            steps, energies = table.get_array('step'), table.get_array('total_energy_eV')
            inside = steps >= result['production_start']
            drift = energy_drift(1e-3 * timestep * steps[inside], energies[inside], result['atoms'])
            what = f'The energy drift of {label}'
            yield at_most(f'energy_drift_{label}', drift, given['energy_drift'], what, 'meV/atom/ps')
    for label in found.compared():
        volumes = [result['volume_mean_A3'] for result in found.pair('results', 'hot', label)]
        if given['density_change'] is not None:
            # The mass is equal, so the ratio of the volumes is that of the densities.
            change = abs(volumes[1] / volumes[0] - 1)
            yield at_most(
                f'density_{label}', change, given['density_change'], f'The relative change of the density of {label}'
            )
        if given['rdf_mismatch'] is not None:
            student, teacher = (concatenate(node.sets())[0] for node in found.pair('frames', 'hot', label))
            value, noise = compare_radial(student, teacher, np.arange(0, cutoff + BIN / 2, BIN))
            what = f'The mismatch of the radial distributions of {label}'
            yield at_most(f'rdf_{label}', value, given['rdf_mismatch'], what, noise=noise)


def _transport(found: Found, given: Mapping[str, Any]) -> Iterator[Check]:
    for run in found.runs.select(what='transport', potential='student'):
        label = str(run.structure)
        mine, other = found.pair('transport', 'transport', label)
        if mine is None:
            says = f'All transport runs of {label} with the student failed.'
            yield Check(f'diffusion_{label}', None, None, False, says)
            continue
        if other is None:
            yield unknown(f'diffusion_{label}', f'All transport runs of {label} with the teacher failed.')
            continue
        yield from _kept_limits(label, mine['temperatures'], other['temperatures'])
        if given['diffusion_deviation'] is not None:
            limit = given['diffusion_deviation']
            yield from compare_diffusion(mine['temperatures'], other['temperatures'], limit, f'_{label}')
        lines = found.pair('arrhenius', 'transport', label)
        if given['activation_deviation'] is not None and all(line is not None for line in lines):
            tables = [line.get_dict() for line in lines]
            yield compare_activation(tables[0], tables[1], given['activation_deviation'], f'_{label}')


def _kept_limits(label: str, mine: list[dict[str, Any]], others: list[dict[str, Any]]) -> Iterator[Check]:
    """Refuse a student whose run exceeds its limits where that of its teacher does not.

    If both exceed them, the check is undetermined.
    """
    for row, other in zip(mine, others, strict=True):
        if row.get('stopped'):
            kelvin = f'{row["temperature_K"]:g}'
            says = f'In the transport of {label} at {kelvin} K the student exceeded a limit: {row["reason"]}'
            name = f'survives_transport_{label}_{kelvin}K'
            yield unknown(name, says) if other.get('stopped') else Check(name, None, None, False, says)


def _speed(found: Found, given: Mapping[str, Any]) -> Iterator[Check]:
    for label in found.compared():
        if given['speedup'] is None:
            continue
        student, teacher = (result['katom_steps_per_s'] for result in found.pair('results', 'hot', label))
        ratio, limit = student / teacher, given['speedup']
        compared = f'{"at least" if ratio >= limit else "less than"} {limit:g}'
        speeds = f'({student:.3g} against {teacher:.3g} katom-step/s)'
        says = f'The student is {ratio:.3g} times as fast {speeds}, {compared}.'
        yield Check(f'speedup_{label}', ratio, limit, bool(ratio >= limit), says)
