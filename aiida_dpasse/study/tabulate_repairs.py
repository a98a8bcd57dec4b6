"""Table of the rounds in which a study repaired its potentials."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.repeats import ERRORS
from aiida_dpasse.runs import Run, Runs

#: Kinds of nodes that a round produces.
REPAIRED = ('statistics', 'accounts', 'errors', 'transport', 'verdicts', 'checks')


def repair_label(run: Run) -> str:
    """Return the link label of a step of a repair.

    :param run: record of the step, whose iteration is the number of the round.

    >>> repair_label(Run('distill', iteration=1))
    'repair_1_distill'
    """
    return f'repair_{run.iteration}_{run.what}'


@calcfunction
def tabulate_repairs(runs: orm.Dict, **inputs: dict[str, orm.Dict]) -> orm.Dict:
    """Tabulate the repairs of a study.

    :param runs: records of the steps, of `plan_electrolyte`.
    :param inputs: namespaces by the id of the step: ``statistics`` of the selection of frames, ``accounts`` of the
        labels, ``errors`` of the teacher before and after its training, ``transport`` and ``checks`` of the production
        of each round, and ``verdicts`` of the acceptance of each student; round 0 is that before the first repair.
    :returns: ``rounds``, each with the failures that led to it (``refused``, ``stopped``, ``wrong``), the numbers of
        frames visited, chosen, labelled, rejected and failed, and the errors of the teacher on its test data before and
        after (meV/atom, meV/A); ``remaining``, the failures after the last round; ``repaired``, whether there are none,
        and the ``reason`` if there are.
    """
    planned = Runs.from_dict(runs.get_dict())
    found = {kind: {key: node.get_dict() for key, node in inputs.get(kind, {}).items()} for kind in REPAIRED}
    rounds = []
    for run in planned.select(what='select'):
        if run.id not in found['statistics']:
            continue
        turn = int(run.iteration or 0)
        statistics = found['statistics'][run.id]
        account = found['accounts'].get(run.follow('label').id, {})
        errors = found['errors'].get(run.follow('teach').id, {})
        rounds.append(
            {
                'round': turn,
                **failures(found, turn - 1),
                **statistics,
                'labelled': account.get('admitted'),
                'rejected': len(account['rejected']) if account else None,
                'failed': len(account['failed']) if account else None,
                'before': {name: errors['zero_shot'][name] for name in ERRORS} if errors else None,
                'after': {name: errors['fine_tuned'][name] for name in ERRORS} if errors else None,
            }
        )
    last = rounds[-1]
    taught = last['after'] is not None
    remaining = failures(found, last['round'] if taught else last['round'] - 1)
    repaired = taught and not remaining['stopped'] and remaining['refused'] is None and remaining['wrong'] is None
    reason = None if repaired else why(last, remaining, len(planned.select(what='select')))
    return orm.Dict({'rounds': rounds, 'remaining': remaining, 'repaired': repaired, 'reason': reason})


def failures(found: dict[str, Any], turn: int) -> dict[str, Any]:
    """Return the failures of the potentials of one round.

    :param found: nodes by kind and id of the step.
    :param turn: number of the round.
    :returns: ``refused``, the reason if the student was refused, otherwise null; ``stopped``, for each temperature (K)
        with runs that exceeded a limit, their number and the verdict on the first; ``wrong``, the reason if the check
        by labels failed, otherwise null.
    """
    check = found['checks'].get(Run('check', iteration=turn).id, {'accepted': None})
    verdict = found['verdicts'].get(Run('distill', iteration=turn).id, {'accepted': True})
    rows = found['transport'].get(Run('conductivity', iteration=turn).id, {}).get('temperatures', [])
    return {
        'wrong': check['reason'] if check['accepted'] is False else None,
        'refused': None if verdict['accepted'] else verdict['reason'],
        'stopped': [
            {
                'temperature_K': row['temperature_K'],
                'runs': len(row['stopped']),
                'verdict': row['stopped'][0]['verdict'],
            }
            for row in rows
            if row['stopped']
        ],
    }


def why(last: dict[str, Any], remaining: dict[str, Any], allowed: int) -> str:
    """Return the reason why a study is not repaired.

    :param last: row of the last round.
    :param remaining: failures after it.
    :param allowed: largest number of rounds.
    """
    if not last['chosen']:
        return f'Round {last["round"]} found no frame that is new and physical.'
    if not last['labelled']:
        return f'In round {last["round"]} no frame was labelled.'
    if last['after'] is None:
        return f'In round {last["round"]} the training of the teacher failed.'
    kelvins = ', '.join(f'{row["temperature_K"]:g} K' for row in remaining['stopped'])
    what = f'runs at {kelvins} still exceed their limits' if kelvins else 'the student is still refused'
    if not kelvins and remaining['wrong']:
        what = 'the students are still wrong in their own dynamics'
    return f'After {last["round"]} of {allowed} rounds {what}: increase `repair.max_rounds` or `repair.max_frames`.'
