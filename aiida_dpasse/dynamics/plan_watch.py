"""How the deviation of a committee is watched, and which frames are worth a label."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.train.adjust_training import WATCH_INTERVAL


def selection(trust: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of `select_candidates` for frames whose deviation is above a limit.

    :param trust: `watch.deviation` of the dynamics.
    :param parameters: those of the dynamics: the seed and the unit of the deviation.
    """
    levels = {'mode': 'fixed', 'low': trust['limit'], 'high': trust.get('high', 10.0), 'quantile': 0.5}
    return {
        'trust': {**levels, 'explosion': levels['high']},
        'max_candidates': trust.get('max_candidates', 100),
        'max_per_structure': None,
        # Frames that follow each other are alike.
        'choice': 'diverse',
        'relative_deviation': parameters.get('relative_deviation'),
        'seed': parameters['seed'],
    }


@calcfunction
def plan_watch(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Return ``monitor``, which stops a run that leaves the committee's trust, the ``selection`` of
    candidates, and the one run among ``runs``.

    :param parameters: those of `dpasse.md`, with `watch.deviation`.
    """
    given = parameters.get_dict()
    run = Run('md', structure='structure', temperature=given['temperature'])
    return {
        'monitor': orm.Dict({'entry_point': 'dpasse.untrusted', 'minimum_poll_interval': WATCH_INTERVAL}),
        'selection': orm.Dict(selection(given['watch']['deviation'], given)),
        'runs': orm.Dict(Runs([run]).to_dict()),
    }
