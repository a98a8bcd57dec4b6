"""Plan the monitoring of the committee deviation and the selection of candidates."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.train.adjust_training import WATCH_INTERVAL


def selection(trust: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of `select_candidates` for frames with a deviation above a limit.

    :param trust: `watch.deviation` of the dynamics.
    :param parameters: parameters of the dynamics, which give the seed and the unit of the deviation.
    """
    levels = {'mode': 'fixed', 'low': trust['limit'], 'high': trust.get('high', 10.0), 'quantile': 0.5}
    return {
        'trust': {**levels, 'explosion': levels['high']},
        'max_candidates': trust.get('max_candidates', 100),
        'max_per_structure': None,
        # Consecutive frames are similar.
        'choice': 'diverse',
        'relative_deviation': parameters.get('relative_deviation'),
        'seed': parameters['seed'],
    }


@calcfunction
def plan_watch(parameters: orm.Dict) -> dict[str, orm.Dict]:
    """Derive the monitor and the candidate selection of a single molecular dynamics run.

    :param parameters: parameters of `dpasse.md`, with `watch.deviation`.
    :returns: ``monitor``, which stops the run when the committee deviation exceeds its limit; ``selection``, the
        settings of `select_candidates`; ``runs``, the record of the run.
    """
    given = parameters.get_dict()
    run = Run('md', structure='structure', temperature=given['temperature'])
    return {
        'monitor': orm.Dict({'entry_point': 'dpasse.untrusted', 'minimum_poll_interval': WATCH_INTERVAL}),
        'selection': orm.Dict(selection(given['watch']['deviation'], given)),
        'runs': orm.Dict(Runs([run]).to_dict()),
    }
