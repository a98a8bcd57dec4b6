"""Add up what became of every frame of a labelling, over batches and retries."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.drivers.records import ADMITTED, FAILED, REJECTED

State = tuple[str, str]


@calcfunction
def merge_accounts(plan: orm.Dict, **accounts: orm.Dict) -> orm.Dict:
    """Return the account of all batches: ``requested`` = ``admitted`` + the numbers of ``rejected`` and of
    ``failed``; ``objections`` name what only an audit admitted.

    ``accounts`` holds those of the jobs, by key: ``batch_000``, and ``batch_000_retry`` of its failed frames.
    A frame ends as its
    last job says; a batch without an account failed as a whole; a frame that was given twice is rejected the
    second time.
    ``retried`` counts the frames that got a second job, ``calculations`` how often the program that labels was started,
    further attempts within one job among it.
    """
    states: list[tuple[str, State]] = [
        (identity, (REJECTED, 'the same frame was given before')) for identity in plan['duplicates']
    ]
    retried = 0
    for key, names in plan['batches'].items():
        final = _states(names, accounts.get(key), f'the job {key} left no account')
        if f'{key}_retry' in accounts:
            again = {name for name, (state, _) in final.items() if state == FAILED and ':' not in name}
            names_again = [name for name in names if name.partition(':')[0] in again]
            final |= _states(names_again, accounts[f'{key}_retry'], '')
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
