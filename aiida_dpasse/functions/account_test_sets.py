"""What became of every planned frame of the test sets, and at what temperatures they were taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.drivers.records import ADMITTED, FAILED, REJECTED

NOTHING = 'the run left nothing: see its exit code'
NO_ACCOUNT = 'the labelling left no account: see its exit code'


@calcfunction
def account_test_sets(sample: orm.Dict, **nodes: orm.Data) -> dict[str, orm.Dict]:
    """Return ``account`` and ``temperatures``.

    ``account`` holds ``requested`` = ``admitted`` + the numbers of ``rejected`` and of ``failed``, these by name with a
    reason, and ``objections`` to admitted frames; ``frames``, every one by ``id``, ``run``, ``step``, ``temperature_K``
    and ``state``; and ``runs``, how far each came. A frame that its run never came to is called ``<run>:<step>``.
    ``temperatures`` are those of `dpasse.validate` for the sets that have frames.

    :param sample: of `plan_test_sets`.
    :param nodes: by run ``results_<run>``; by part ``samples_<part>``, the frames that were to be labelled, and
        ``account_<part>``, of their labelling. What did not come to be is missing.
    """
    runs, lines = sample['runs'], sample['lines']
    rows = [row for part in lines for row in _labelled(part, nodes)]
    known = {(row['run'], row['step']) for row in rows}
    for key, run in sorted(runs.items()):
        reason = _ending(nodes.get(f'results_{key}'))
        for step in run['steps']:
            if (key, step) not in known:
                rows.append({'id': f'{key}:{step}', 'run': key, 'step': step, 'state': FAILED, 'reason': reason})
    for row in rows:
        line = lines[runs[row['run']]['part']]
        row['temperature_K'] = line['first'] + (line['last'] - line['first']) * row['step'] / line['steps']
    rows.sort(key=lambda row: (row['run'], row['step']))
    account: dict[str, Any] = {'requested': len(rows), 'admitted': sum(row['state'] == ADMITTED for row in rows)}
    for state in (REJECTED, FAILED):
        chosen = [row for row in rows if row['state'] == state]
        account[state] = [{name: row[name] for name in ('id', 'run', 'step', 'reason')} for row in chosen]
    account['objections'] = [
        entry
        for part in lines
        if f'account_{part}' in nodes
        for entry in nodes[f'account_{part}'].get_dict().get('objections', [])
    ]
    account['frames'] = [{name: value for name, value in row.items() if name != 'reason'} for row in rows]
    account['runs'] = [
        _run(key, run, nodes, [row for row in rows if row['run'] == key]) for key, run in sorted(runs.items())
    ]
    there = {runs[row['run']]['part'] for row in rows if row['state'] == ADMITTED}
    temperatures = {part: line for part, line in lines.items() if part in there}
    return {'account': orm.Dict(account), 'temperatures': orm.Dict(temperatures)}


def _labelled(part: str, nodes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The frames of a part that were to be labelled, and what their labelling says of each."""
    if f'samples_{part}' not in nodes:
        return []
    rows: list[dict[str, Any]] = [
        {'id': str(identity), 'run': str(source), 'step': int(step), 'state': ADMITTED, 'reason': ''}
        for item in nodes[f'samples_{part}'].sets()
        for identity, source, step in zip(item.ids, item.sources, item.steps, strict=True)
    ]
    if f'account_{part}' not in nodes:
        return [{**row, 'state': FAILED, 'reason': NO_ACCOUNT} for row in rows]
    told: dict[str, list[tuple[str, str]]] = {}
    for state in (REJECTED, FAILED):
        for entry in nodes[f'account_{part}'][state]:
            told.setdefault(entry['id'], []).append((state, entry['reason']))
    # Of a frame that is there twice the first one has the label.
    for row in reversed(rows):
        if told.get(row['id']):
            row['state'], row['reason'] = told[row['id']].pop()
    return rows


def _ending(results: orm.Dict | None) -> str:
    """Why a run gave no further frames."""
    if results is None:
        return NOTHING
    why = ': '.join(str(results[name]) for name in ('verdict', 'reason') if results.get_dict().get(name))
    return f'the run ended at step {results["step"]} of {results["steps"]} ({why})'


def _run(key: str, run: Mapping[str, Any], nodes: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    found = nodes[f'results_{key}'].get_dict() if f'results_{key}' in nodes else {}
    return {
        'run': key,
        'part': run['part'],
        'structure': run['structure'],
        'requested': len(run['steps']),
        'sampled': sum(':' not in row['id'] for row in rows),
        'admitted': sum(row['state'] == ADMITTED for row in rows),
        'last_step': found.get('step'),
        'steps': run['steps'][-1],
        'verdict': found.get('verdict', NOTHING),
    }
