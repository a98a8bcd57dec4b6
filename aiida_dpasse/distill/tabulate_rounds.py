"""Tabulate the rounds in which the student explored, and determine whether it is settled."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Runs


@calcfunction
def tabulate_rounds(parameters: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Dict]) -> orm.Dict:
    """Tabulate the exploration rounds of a student.

    The student is settled if all its runs of the last round finished and the mean absolute error of its forces on the
    frames sampled there is at most ``force_mae``.

    :param parameters: ``force_mae`` in meV/A.
    :param runs: records of :func:`plan_distill`, by id.
    :param inputs: nodes by id: ``results`` of the student's runs; ``errors`` of `dpasse.evaluate` and ``accounts`` of
        the labels for each round.
    :return: ``rounds``; ``settled`` and ``verdict`` of the last round.
    """
    planned = Runs.from_dict(runs.get_dict())
    rows: list[dict[str, Any]] = []
    for turn in planned.select(what='round'):
        if turn.id not in inputs['errors']:
            continue
        account, errors = inputs['accounts'][turn.id], inputs['errors'][turn.id]['student']
        explored = planned.select(what='explore', iteration=turn.iteration)
        ended = [inputs['results'][run.id] for run in explored if run.id in inputs['results']]
        rows.append(
            {
                'round': turn.iteration,
                'runs': len(explored),
                'survived': sum(result['step'] >= result['steps'] for result in ended),
                **{name: account[name] for name in ('requested', 'admitted')},
                **{name: len(account[name]) for name in ('rejected', 'failed')},
                **{name: errors[name] for name in ('energy_mae_meV_atom', 'force_mae_meV_A')},
            }
        )
    last, limit = rows[-1], parameters['force_mae']
    error = f'The force MAE on the frames sampled by the student is {last["force_mae_meV_A"]:.0f} meV/A'
    if last['survived'] < last['runs']:
        settled, verdict = False, f'Only {last["survived"]} of {last["runs"]} runs of the student finished.'
    elif last['force_mae_meV_A'] > limit:
        settled, verdict = False, f'{error}, more than {limit:g}.'
    else:
        settled, verdict = True, f'{error}, at most {limit:g}.'
    return orm.Dict({'rounds': rows, 'settled': settled, 'verdict': verdict})
