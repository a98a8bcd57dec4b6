"""Table of the rounds of a verification."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.repeats import ERRORS
from aiida_dpasse.runs import Run


@calcfunction
def tabulate_verify(**inputs: dict[str, orm.Dict]) -> orm.Dict:
    """Tabulate the rounds of a verification.

    :param inputs: namespaces by the id of the step: ``checks`` of `judge_by_labels`, one for each round, and ``errors``
        of the potential before and after each training.
    :returns: ``rounds``, each with its number, the number of labelled ``frames``, the root mean square force and the
        error of the potential in its own dynamics (meV/A), the ``relative_error``, whether it is ``accepted``, and its
        errors on the test data after the training that followed; ``accepted`` and ``reason`` of the last round.
    """
    checks, errors = inputs['checks'], inputs.get('errors', {})
    rounds = []
    for turn in range(len(checks)):
        check = checks[Run('check', iteration=turn).id].get_dict()
        trained = errors.get(Run('teach', iteration=turn).id)
        rounds.append(
            {
                'round': turn,
                'frames': check['frames'],
                'force_rms_meV_A': check['force_rms_meV_A'],
                'force_rmse_meV_A': max(check['force_rmse_meV_A'].values(), default=None),
                'relative_error': check['relative_error'],
                'accepted': check['accepted'],
                'after': None if trained is None else {name: trained['fine_tuned'][name] for name in ERRORS},
            }
        )
    last = checks[Run('check', iteration=len(checks) - 1).id]
    return orm.Dict({'rounds': rounds, 'accepted': last['accepted'], 'reason': last['reason']})
