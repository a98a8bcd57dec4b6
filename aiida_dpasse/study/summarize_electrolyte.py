"""Summary of the main results of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.label.passport import PASSPORT, brief
from aiida_dpasse.study.electrolyte_parameters import ElectrolyteParameters

ERRORS = ('energy_mae_meV_atom', 'force_mae_meV_A')
#: Phases whose labels come from the reference method; those of the distillation come from the teacher.
LABELLED = ('initial_data', 'active_learning', 'finetune_labels')
#: Outputs of each phase that enter the summary.
SUMMARIZED = {
    'initial_data': ('account',),
    'active_learning': ('account', 'iterations'),
    'pretrain': ('errors',),
    'finetune_labels': ('account',),
    'finetune': ('errors',),
    'distill': ('account', 'errors', 'speed'),
    'conductivity': ('transport', 'arrhenius'),
    'reference': ('transport',),
}

Found = Mapping[str, Mapping[str, Any]]


@calcfunction
def summarize_electrolyte(parameters: orm.Dict, **phases: dict[str, orm.Dict]) -> orm.Dict:
    """Summarize the results of a study; those of phases that did not run are None.

    Conductivities are in mS/cm, activation energies in eV, diffusion coefficients in cm^2/s, and mean absolute errors
    in meV/atom and meV/A. The interval of the conductivity is from the 16 % to the 84 % quantile. Teacher and student
    are compared on the same reference labels if there are any. Otherwise the errors of the teacher are those of its own
    test, and the errors of the student those against the teacher, as given by ``student_errors_against``.

    A conductivity whose students fail the check by labels is None.

    :param parameters: parameters of the study.
    :param phases: outputs listed in :data:`SUMMARIZED`, by phase that ran; the ``passport`` of the labels, the table
        ``repair`` and the ``check`` of the production, if there are any.
    """
    settings = ElectrolyteParameters.model_validate(parameters.get_dict())
    found: dict[str, dict[str, Any]] = {phase: {} for phase in SUMMARIZED}
    for phase, outputs in phases.items():
        found[phase] = {name: node.get_dict() for name, node in outputs.items()}
    iterations = found['active_learning'].get('iterations', {})
    return orm.Dict(
        {
            **_transport(found),
            **_check(found.get('check', {}).get('check')),
            **_labels(found),
            'label_passport': brief(found.get(PASSPORT, {}).get(PASSPORT)),
            'iterations': len(iterations['iterations']) if iterations else None,
            'active_learning_converged': iterations.get('converged'),
            'active_learning_verdict': iterations.get('verdict'),
            **_students(found),
            'speedup_student_over_teacher': found['distill'].get('speed', {}).get('ratio'),
            'finetune': _both(found['finetune'].get('errors')),
            **_repair(found.get('repair', {}).get('repair')),
            'distill_from': settings.distill_from,
            'seed': settings.seed,
        }
    )


def _transport(found: Found) -> dict[str, Any]:
    fit = found['conductivity'].get('arrhenius', {})
    return {
        'conductivity_300K_mS_cm': fit.get('conductivity_mS_cm'),
        'conductivity_300K_interval_mS_cm': fit.get('interval_mS_cm'),
        'conductivity_kind': fit.get('kind', 'nernst_einstein'),
        'conductivity_reason': fit.get('reason'),
        'extrapolated': fit.get('extrapolated'),
        'activation_energy_eV': fit.get('activation_energy_eV'),
        'activation_energy_error_eV': fit.get('activation_energy_error_eV'),
        'temperatures': _temperatures(found['conductivity'].get('transport', {})),
        'reference': _temperatures(found['reference'].get('transport', {})),
    }


def _check(check: Mapping[str, Any] | None) -> dict[str, Any]:
    found = check or {}
    values = {
        'production_accepted': found.get('accepted'),
        'production_frames_labelled': found.get('frames'),
        'production_force_rms_meV_A': found.get('force_rms_meV_A'),
        'production_force_relative_error': found.get('relative_error'),
    }
    if found.get('accepted') is False:
        nothing = ('conductivity_300K_mS_cm', 'conductivity_300K_interval_mS_cm', 'extrapolated')
        energies = ('activation_energy_eV', 'activation_energy_error_eV')
        values |= dict.fromkeys((*nothing, *energies)) | {'conductivity_reason': found['reason']}
    return values


def _temperatures(transport: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            'temperature_K': row['temperature_K'],
            'diffusivity_cm2_s': row.get('diffusivity_cm2_s'),
            'error_cm2_s': row.get('error_cm2_s'),
            'diffusive': row['diffusive'],
        }
        for row in transport.get('temperatures', [])
    ]


def _labels(found: Found) -> dict[str, Any]:
    accounts = [found[phase]['account'] for phase in LABELLED if 'account' in found[phase]]
    teacher = found['distill'].get('account')
    return {
        'frames_labelled': sum(account['admitted'] for account in accounts),
        'frames_rejected': sum(len(account['rejected']) for account in accounts),
        'frames_failed': sum(len(account['failed']) for account in accounts),
        'frames_labelled_by_teacher': teacher['admitted'] if teacher else None,
        'frames_rejected_of_teacher': len(teacher['rejected']) + len(teacher['failed']) if teacher else None,
    }


def _students(found: Found) -> dict[str, Any]:
    distill = found['distill'].get('errors') or {}
    reference = distill.get('against_reference')
    student = (reference or distill.get('against_teacher') or {}).get('student')
    teacher = (reference or {}).get('teacher') or found['pretrain'].get('errors', {}).get('pretrained')
    named = {'teacher': teacher, 'student': student}
    values = {
        f'{name}_mae_{quantity}': (errors or {}).get(key)
        for name, errors in named.items()
        for quantity, key in zip(('energy_meV_atom', 'force_meV_A'), ERRORS, strict=True)
    }
    against = ('reference' if reference else 'teacher') if student else None
    return {**values, 'student_errors_against': against}


def _repair(table: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        'repair_rounds': len(table['rounds']) if table else 0,
        'repaired': table['repaired'] if table else None,
        'repair_reason': table['reason'] if table else None,
        'frames_labelled_in_repairs': sum(row['labelled'] or 0 for row in table['rounds']) if table else 0,
    }


def _both(errors: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if errors is None:
        return None
    return {name: {key: errors[name][key] for key in ERRORS} for name in ('zero_shot', 'fine_tuned')}
