"""The account of every planned frame of the test sets, and the temperatures of the frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.frames.select_candidates import source_of
from aiida_dpasse.labels.records import ADMITTED, FAILED, REJECTED
from aiida_dpasse.runs import Run, Runs

NOTHING = 'the run has no output: see its exit code'
NO_ACCOUNT = 'the labelling has no output: see its exit code'
Row = dict[str, Any]


@calcfunction
def account_test_sets(sample: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Data]) -> dict[str, orm.Dict]:
    """Account for every planned frame of the test sets.

    :param sample: output ``sample`` of :func:`plan_test_sets`.
    :param runs: record of each run, by its id.
    :param inputs: ``results`` by run; ``samples`` (the frames submitted for labelling) and ``accounts`` (of their
        labelling) by test set. A node that was not created is left out.
    :return: ``account`` and ``temperatures``.

    ``account`` holds

    - ``requested``, which equals ``admitted`` plus the numbers of ``rejected`` and of ``failed`` frames; the latter two
      are lists with a reason for each frame;
    - ``objections`` to admitted frames;
    - ``frames``, each with its ``id``, ``run``, ``step``, ``temperature_K`` and ``state``. A frame that its run did not
      reach has the id ``<run>:<step>``;
    - ``runs``, the record of each run and the last step that it reached.

    ``temperatures`` is the parameter of `dpasse.validate` for the test sets that contain frames.
    """
    planned, lines = Runs.from_dict(runs.get_dict()), sample['lines']
    results, samples, accounts = (inputs.get(name, {}) for name in ('results', 'samples', 'accounts'))
    keys = {source_of(key): key for key in planned}
    rows = [row for part in lines if part in samples for row in _labelled(samples[part], accounts.get(part), keys)]
    sampled = {(row['run'], row['step']) for row in rows}
    for key in planned:
        reason = _ending(results.get(key))
        for step in sample['steps'][key]:
            if (key, step) not in sampled:
                rows.append({'id': f'{key}:{step}', 'run': key, 'step': step, 'state': FAILED, 'reason': reason})
    for row in rows:
        line = lines[planned[row['run']].data]
        row['temperature_K'] = line['first'] + (line['last'] - line['first']) * row['step'] / line['steps']
    rows.sort(key=lambda row: (row['run'], row['step']))
    account: Row = {'requested': len(rows), 'admitted': sum(row['state'] == ADMITTED for row in rows)}
    for state in (REJECTED, FAILED):
        chosen = [row for row in rows if row['state'] == state]
        account[state] = [{name: row[name] for name in ('id', 'run', 'step', 'reason')} for row in chosen]
    found = [accounts[part].get_dict() for part in lines if part in accounts]
    account['objections'] = [entry for content in found for entry in content.get('objections', [])]
    account['frames'] = [{name: value for name, value in row.items() if name != 'reason'} for row in rows]
    account['runs'] = [
        {
            **_run(run, sample['steps'][key], results.get(key), [row for row in rows if row['run'] == key]),
            'sampled': sum(where == key for where, _ in sampled),
        }
        for key, run in planned.items()
    ]
    there = {planned[row['run']].data for row in rows if row['state'] == ADMITTED}
    temperatures = {part: line for part, line in lines.items() if part in there}
    return {'account': orm.Dict(account), 'temperatures': orm.Dict(temperatures)}


def _labelled(samples: Any, account: orm.Dict | None, keys: Mapping[str, str]) -> list[Row]:
    """Return the frames of a test set that were submitted for labelling, each with its state and reason."""
    rows: list[Row] = [
        {'id': str(identity), 'run': keys[str(source)], 'step': int(step), 'state': ADMITTED, 'reason': ''}
        for item in samples.sets()
        for identity, source, step in zip(item.ids, item.sources, item.steps, strict=True)
    ]
    if account is None:
        return [{**row, 'state': FAILED, 'reason': NO_ACCOUNT} for row in rows]
    states: dict[str, list[tuple[str, str]]] = {}
    for state in (REJECTED, FAILED):
        for entry in account[state]:
            states.setdefault(entry['id'], []).append((state, entry['reason']))
    # If a frame occurs twice, the first one carries the label.
    for row in reversed(rows):
        if states.get(row['id']):
            row['state'], row['reason'] = states[row['id']].pop()
    return rows


def _ending(results: orm.Dict | None) -> str:
    """Return the reason why a run produced no further frames."""
    if results is None:
        return NOTHING
    why = ': '.join(str(results[name]) for name in ('verdict', 'reason') if results.get_dict().get(name))
    return f'the run ended at step {results["step"]} of {results["steps"]} ({why})'


def _run(run: Run, steps: list[int], results: orm.Dict | None, rows: list[Row]) -> Row:
    found = {} if results is None else results.get_dict()
    return {
        'run': run.id,
        **run.to_dict(),
        'part': run.data,
        'requested': len(steps),
        'admitted': sum(row['state'] == ADMITTED for row in rows),
        'last_step': found.get('step'),
        'steps': steps[-1],
        'verdict': found.get('verdict', NOTHING),
    }
