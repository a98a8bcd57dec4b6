"""Table of the iterations of an active learning, and its convergence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.repeats import ERRORS
from aiida_dpasse.learning.convergence import judge, next_stage, pending
from aiida_dpasse.runs import Run, Runs

#: Kinds of nodes that an iteration produces, one of each.
KINDS = ('frames', 'errors', 'statistics', 'accounts', 'stages')


@calcfunction
def tabulate_iterations(convergence: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Data]) -> dict[str, orm.Dict]:
    """Tabulate the iterations of an active learning and judge its convergence.

    A row contains the record of its iteration; values that an iteration did not produce are None.

    :param convergence: criteria (see `judge`).
    :param runs: records of the iterations and of the monitored dynamics.
    :param inputs: namespaces by the id of the iteration: ``frames`` of the training, ``errors`` on the held-out frames
        by member, ``statistics`` of the exploration, ``accounts`` of the labels, ``stages`` of an exploration in
        stages; and, by the id of the run, ``transport`` of the monitored dynamics.
    :returns: ``iterations``, the table with the verdict, and ``account``, the sum over all requested labels.
    """
    planned, transport = Runs.from_dict(runs.get_dict()), inputs.get('transport', {})
    rows, account = [], {'requested': 0, 'admitted': 0, 'rejected': [], 'failed': []}
    for run in planned.select(what='iteration'):
        nodes = {kind: inputs.get(kind, {}).get(run.id) for kind in KINDS}
        if all(node is None for node in nodes.values()):
            continue
        watched = [
            other for other in planned.select(what='transport', iteration=run.iteration) if other.id in transport
        ]
        rows.append(_row(run, nodes) | _transport({other: transport[other.id] for other in watched}))
        _add(account, nodes['accounts'], run)
    criteria = convergence.get_dict()
    converged, verdict = judge(rows, criteria)
    table = {
        'iterations': rows,
        'converged': converged,
        'verdict': verdict,
        'pending': pending(rows, criteria),
        'next_stage': next_stage(rows, criteria),
    }
    return {'iterations': orm.Dict(table), 'account': orm.Dict(account)}


def _row(run: Run, nodes: Mapping[str, Any]) -> dict[str, Any]:
    statistics = {} if nodes['statistics'] is None else nodes['statistics'].get_dict()
    account = {} if nodes['accounts'] is None else nodes['accounts'].get_dict()
    errors = {} if nodes['errors'] is None else nodes['errors'].get_dict()
    sampled = statistics.get('sampled')
    names = ('sampled', 'accurate', 'candidate', 'failed', 'chosen', 'trust_low', 'trust_high')
    return {
        **run.to_dict(),
        'stage': None if nodes['stages'] is None else nodes['stages']['stage'],
        'frames': None if nodes['frames'] is None else nodes['frames'].frames,
        **{name: statistics.get(name) for name in names},
        'accurate_fraction': statistics['accurate'] / sampled if sampled else None,
        'labelled': account.get('admitted'),
        'rejected': len(account['rejected']) if account else None,
        'label_failed': len(account['failed']) if account else None,
        **{name: float(np.mean([member[name] for member in errors.values()])) if errors else None for name in ERRORS},
    }


def _transport(watched: Mapping[Run, Any]) -> dict[str, Any]:
    """Return the diffusion coefficients of an iteration, if dynamics are monitored."""
    names = ('temperature_K', 'diffusivity_cm2_s', 'error_cm2_s', 'diffusive', 'reason')
    rows = [
        {**run.to_dict(), **{name: row[name] for name in names}}
        for run, node in watched.items()
        if node is not None
        for row in node['temperatures']
    ]
    return {'transport': rows} if rows else {}


def _add(account: dict[str, Any], node: orm.Dict | None, run: Run) -> None:
    """Add the account of one labelling to the total."""
    if node is None:
        return
    for key in ('requested', 'admitted'):
        account[key] += node[key]
    for key in ('rejected', 'failed'):
        account[key] += [{**entry, 'iteration': run.iteration} for entry in node[key]]
