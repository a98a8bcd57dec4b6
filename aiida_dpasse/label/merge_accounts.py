"""Add up what became of every frame of a labelling, over batches and retries."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.label.select_failed import failed_ids
from aiida_dpasse.labels.records import ADMITTED, FAILED, REJECTED
from aiida_dpasse.runs import Runs

State = tuple[str, str]


@calcfunction
def merge_accounts(plan: orm.Dict, **inputs: dict[str, orm.Dict]) -> orm.Dict:
    """Return the account of all batches: ``requested`` = ``admitted`` + the numbers of ``rejected`` and of
    ``failed``; ``objections`` name what only an audit admitted.

    A frame ends as its last job says; a batch without an account failed as a whole; a frame that was given twice is
    rejected the second time. ``retried`` counts the frames that got a second job, ``calculations`` how often the
    program that labels was started, further attempts within one job among it.

    :param plan: that of `plan_label`.
    :param inputs: as ``accounts`` those of the jobs by the ids of their runs: `Run('batch', n)`, and its segments 1, 2
        and so on for the frames that were asked for again.
    """
    accounts = inputs.get('accounts', {})
    states: list[tuple[str, State]] = [
        (identity, (REJECTED, 'the same frame was given before')) for identity in plan['duplicates']
    ]
    retried = 0
    runs = Runs.from_dict(plan['runs'])
    for key, names in plan['batches'].items():
        run = runs[key]
        final = _states(names, accounts.get(key), f'the job {run.label} left no account')
        asked, before = {name for name in names if ':' not in name}, [accounts[key]] if key in accounts else []
        again: set[str] = set()
        # Every segment but the first and the last brought something: there are not more of them than names.
        for segment in range(1, len(names) + 3):
            account = accounts.get(run.follow('batch', segment=segment).id)
            if account is not None:
                if before:
                    asked = set(failed_ids(before[-1], before[:-1]))
                again |= asked
                final |= _states([name for name in names if name.partition(':')[0] in asked], account, '')
                before.append(account)
        retried += len(again)
        states += final.items()
    merged: dict[str, Any] = {
        'requested': len(states),
        'admitted': sum(s == ADMITTED for _, (s, _) in states),
    }
    for state in (REJECTED, FAILED):
        merged[state] = [{'id': name, 'reason': reason} for name, (s, reason) in states if s == state]
    admitted = {name for name, (s, _) in states if s == ADMITTED}
    merged['objections'] = [
        entry
        for account in accounts.values()
        for entry in account.get_dict().get('objections', [])
        if entry['id'] in admitted
    ]
    calculations = sum(account.get_dict().get('calculations', 1) for account in accounts.values())
    return orm.Dict({**merged, 'retried': retried, 'calculations': calculations})


def _states(names: list[str], account: orm.Dict | None, without: str) -> dict[str, State]:
    """State and reason of each name, as one job's account tells it."""
    if account is None:
        return dict.fromkeys(names, (FAILED, without))
    told = {entry['id']: (state, entry['reason']) for state in (REJECTED, FAILED) for entry in account[state]}
    return {name: told.get(name, (ADMITTED, '')) for name in names}
