"""Merge the accounts of a labelling over batches and retries."""

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
    """Merge the accounts of all batches of a labelling.

    The state of a frame is that of its last job. All frames of a batch without account have failed. A duplicate of a
    frame is rejected.

    :param plan: ``plan`` of `plan_label`.
    :param inputs: namespace ``accounts`` with the accounts of the jobs by the id of the run: ``Run('batch', n)``, and
        its segments 1, 2, ... for repeated frames.
    :returns: the account: ``requested`` equals ``admitted`` plus the lengths of ``rejected`` and ``failed``;
        ``objections`` lists the frames that only the mode `audit` accepted; ``retried`` counts the frames with a second
        job, and ``calculations`` the runs of the labelling program, including repeated attempts within one job.
    """
    accounts = inputs.get('accounts', {})
    states: list[tuple[str, State]] = [
        (identity, (REJECTED, 'the same frame was given before')) for identity in plan['duplicates']
    ]
    retried = 0
    runs = Runs.from_dict(plan['runs'])
    for key, names in plan['batches'].items():
        run = runs[key]
        final = _states(names, accounts.get(key), f'the job {run.label} returned no account')
        asked, before = {name for name in names if ':' not in name}, [accounts[key]] if key in accounts else []
        again: set[str] = set()
        # Every segment except the first and the last settled at least one name, which limits their number.
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


@calcfunction
def add_accounts(**accounts: orm.Dict) -> orm.Dict:
    """Add the accounts of labellings of different frames.

    :param accounts: accounts of `merge_accounts`, by label.
    :returns: the account of all frames, with the same fields.
    """
    found = [account.get_dict() for _, account in sorted(accounts.items())]
    return orm.Dict({name: sum((account[name] for account in found[1:]), found[0][name]) for name in found[0]})


def _states(names: list[str], account: orm.Dict | None, without: str) -> dict[str, State]:
    """Return state and reason of each name according to the account of one job."""
    if account is None:
        return dict.fromkeys(names, (FAILED, without))
    known = {entry['id']: (state, entry['reason']) for state in (REJECTED, FAILED) for entry in account[state]}
    return {name: known.get(name, (ADMITTED, '')) for name in names}
