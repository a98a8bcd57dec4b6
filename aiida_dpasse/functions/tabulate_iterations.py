"""The iteration table of an active learning, and whether it has converged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.deepmd.convergence import judge, next_stage, pending
from aiida_dpasse.deepmd.repeats import ERRORS


@calcfunction
def tabulate_iterations(convergence: orm.Dict, **parts: orm.Data) -> dict[str, orm.Dict]:
    """Return ``iterations``, the table with the verdict, and ``account``, the sum over all labels asked for.

    ``parts`` holds, by kind and iteration: ``frames_000`` the frames that the committee was trained on,
    ``errors_000`` its errors on the held-out set by member, ``statistics_000`` of the exploration,
    ``account_000`` of the labels, ``stage_000`` of an exploration that grows, ``transport_<structure>_000`` of the
    dynamics that are watched. What an iteration did not come to is absent, and None in its row.
    """
    numbers = sorted({int(label.rpartition('_')[2]) for label in parts})
    rows = [
        _row(index, {kind: parts.get(f'{kind}_{index:03d}') for kind in KINDS}) | _transport(index, parts)
        for index in numbers
    ]
    criteria = convergence.get_dict()
    converged, verdict = judge(rows, criteria)
    account: dict[str, Any] = {'requested': 0, 'admitted': 0, 'rejected': [], 'failed': []}
    for index in numbers:
        node = parts.get(f'account_{index:03d}')
        if node is not None:
            for key in ('requested', 'admitted'):
                account[key] += node[key]
            for key in ('rejected', 'failed'):
                account[key] += [{**entry, 'iteration': index} for entry in node[key]]
    table = {
        'iterations': rows,
        'converged': converged,
        'verdict': verdict,
        'pending': pending(rows, criteria),
        'next_stage': next_stage(rows, criteria),
    }
    return {'iterations': orm.Dict(table), 'account': orm.Dict(account)}


KINDS = ('frames', 'errors', 'statistics', 'account', 'stage')


def _row(index: int, nodes: Mapping[str, Any]) -> dict[str, Any]:
    statistics = {} if nodes['statistics'] is None else nodes['statistics'].get_dict()
    account = {} if nodes['account'] is None else nodes['account'].get_dict()
    errors = {} if nodes['errors'] is None else nodes['errors'].get_dict()
    sampled = statistics.get('sampled')
    names = ('sampled', 'accurate', 'candidate', 'failed', 'chosen', 'trust_low', 'trust_high')
    return {
        'iteration': index,
        'stage': None if nodes['stage'] is None else nodes['stage']['stage'],
        'frames': None if nodes['frames'] is None else nodes['frames'].frames,
        **{name: statistics.get(name) for name in names},
        'accurate_fraction': statistics['accurate'] / sampled if sampled else None,
        'labelled': account.get('admitted'),
        'rejected': len(account['rejected']) if account else None,
        'label_failed': len(account['failed']) if account else None,
        **{name: float(np.mean([member[name] for member in errors.values()])) if errors else None for name in ERRORS},
    }


def _transport(index: int, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The diffusion coefficients of an iteration, if dynamics were watched."""
    start, end = 'transport_', f'_{index:03d}'
    watched = {
        label.removeprefix(start).removesuffix(end): node['temperatures']
        for label, node in sorted(parts.items())
        if label.startswith(start) and label.endswith(end)
    }
    names = ('temperature_K', 'diffusivity_cm2_s', 'error_cm2_s', 'diffusive', 'reason')
    rows = [
        {'structure': label, **{name: row[name] for name in names}} for label, found in watched.items() for row in found
    ]
    return {'transport': rows} if rows else {}
