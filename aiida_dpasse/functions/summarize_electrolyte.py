"""The numbers of a study at a glance, gathered from the results of its phases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

ERRORS = ('energy_mae_meV_atom', 'force_mae_meV_A')
#: Phases whose labels come from the calculator; those of the distillation are the teacher's.
LABELLED = ('initial_data', 'active_learning', 'finetune_data')


@calcfunction
def summarize_electrolyte(parameters: orm.Dict, **results: orm.Dict) -> orm.Dict:
    """Return the numbers of the study; those of phases that did not run are None.

    ``results`` holds the Dicts that the phases returned, as ``<phase>_<output>``. Conductivities are in mS/cm,
    energies of activation in eV, diffusivities in cm^2/s, mean absolute errors in meV/atom and meV/A; the interval of
    the conductivity is from 16 % to 84 %. Teacher and student are compared on the same reference labels where there
    are any; without, the teacher's errors are those of its own test, and the student's those against the teacher, as
    ``student_errors_against`` says.
    """
    found = {key: node.get_dict() for key, node in results.items()}
    iterations = found.get('active_learning_iterations', {})
    return orm.Dict(
        {
            **_transport(found),
            **_labels(found),
            'iterations': len(iterations['iterations']) if iterations else None,
            'active_learning_converged': iterations.get('converged'),
            'active_learning_verdict': iterations.get('verdict'),
            **_students(found),
            'speedup_student_over_teacher': found.get('distill_speed', {}).get('ratio'),
            'finetune': _both(found.get('finetune_errors')),
            'distill_from': parameters.get_dict().get('distill_from', 'pretrained'),
            'seed': parameters['seed'],
        }
    )


def _transport(found: Mapping[str, Any]) -> dict[str, Any]:
    fit = found.get('conductivity_arrhenius', {})
    return {
        'conductivity_300K_mS_cm': fit.get('conductivity_mS_cm'),
        'conductivity_300K_interval_mS_cm': fit.get('interval_mS_cm'),
        'conductivity_kind': fit.get('kind', 'nernst_einstein'),
        'conductivity_reason': fit.get('reason'),
        'extrapolated': fit.get('extrapolated'),
        'activation_energy_eV': fit.get('activation_energy_eV'),
        'activation_energy_error_eV': fit.get('activation_energy_error_eV'),
        'temperatures': _temperatures(found.get('conductivity_transport', {})),
        'contrast': _temperatures(found.get('contrast_transport', {})),
    }


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


def _labels(found: Mapping[str, Any]) -> dict[str, Any]:
    accounts = [found[key] for phase in LABELLED if (key := f'{phase}_account') in found]
    teacher = found.get('distill_account')
    return {
        'frames_labelled': sum(account['admitted'] for account in accounts),
        'frames_rejected': sum(len(account['rejected']) for account in accounts),
        'frames_failed': sum(len(account['failed']) for account in accounts),
        'frames_labelled_by_teacher': teacher['admitted'] if teacher else None,
        'frames_rejected_of_teacher': len(teacher['rejected']) + len(teacher['failed']) if teacher else None,
    }


def _students(found: Mapping[str, Any]) -> dict[str, Any]:
    distill = found.get('distill_errors') or {}
    reference = distill.get('against_reference')
    student = (reference or distill.get('against_teacher') or {}).get('student')
    teacher = (reference or {}).get('teacher') or next(iter(found.get('pretrain_errors', {}).values()), None)
    named = {'teacher': teacher, 'student': student}
    values = {
        f'{name}_mae_{"energy_meV_atom" if "energy" in key else "force_meV_A"}': (errors or {}).get(key)
        for name, errors in named.items()
        for key in ERRORS
    }
    against = ('reference' if reference else 'teacher') if student else None
    return {**values, 'student_errors_against': against}


def _both(errors: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if errors is None:
        return None
    return {name: {key: errors[name][key] for key in ERRORS} for name in ('zero_shot', 'fine_tuned')}
