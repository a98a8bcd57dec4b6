"""The journal of a labelling job: one line per frame as it is done, so that a killed job still returns what
it finished.

The driver writes it, and the parser reads it when the job ended before it could write the dataset.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from aiida_dpasse.deepmd.frameset import FrameSet

JOURNAL = 'journal.jsonl'
NOT_REACHED = 'the job ended before this frame was done'
ADMITTED, REJECTED, FAILED = 'admitted', 'rejected', 'failed'


def requested_ids(sets: Sequence[FrameSet], dynamics: dict[str, Any] | None = None) -> list[str]:
    """Names of everything a job has to account for: the frames' ids and, with dynamics, ``<id>:<step>`` of
    each sample."""
    steps = [] if dynamics is None else range(dynamics['interval'], dynamics['steps'] + 1, dynamics['interval'])
    return [
        name
        for item in sets
        for identity in item.ids
        for name in (str(identity), *(f'{identity}:{step}' for step in steps))
    ]


class Journal:
    """Appends one JSON line per finished frame and hands each to the system at once."""

    def __init__(self, path: str | Path = JOURNAL):
        self._handle = Path(path).open('a')  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()

    def discard(self, identity: str, state: str, reason: str) -> None:
        """Record a frame that was rejected or failed, and why."""
        self._write({'id': identity, 'state': state, 'reason': reason})

    def admit(self, identity: str, member: int, frame: FrameSet) -> None:
        """Record a labelled frame (a set of one), which belongs to the formula of input set ``member``."""
        labels = {name: getattr(frame, name) for name in ('energies', 'forces', 'virials')}
        arrays = {'cells': frame.cells, 'positions': frame.positions, **labels}
        self._write(
            {
                'id': identity,
                'state': ADMITTED,
                'set': member,
                'source': str(frame.sources[0]),
                'step': int(frame.steps[0]),
                'deviation': None if np.isnan(frame.deviations[0]) else float(frame.deviations[0]),
                'reason': str(frame.reasons[0]),
                **{name: array[0].tolist() for name, array in arrays.items() if array is not None},
            }
        )

    def _write(self, record: dict[str, Any]) -> None:
        # JSON writes a float so that reading gives the same bits: the frame's id survives.
        self._handle.write(json.dumps(record) + '\n')
        self._handle.flush()


def read_journal(text: str) -> list[dict[str, Any]]:
    """Return the records of a journal; a last line that was cut off by a kill is passed over."""
    records = []
    for line in text.splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def collect(
    records: Sequence[dict[str, Any]], sets: Sequence[FrameSet], requested: Sequence[str]
) -> tuple[list[FrameSet], dict[str, Any]]:
    """Return the admitted frames, one set per input set, and the account of all that was requested.

    :param sets: the frames that the job was given.
    :param requested: the names of :func:`requested_ids`; those without a record count as failed.
    :returns: the labelled sets, and ``{requested, admitted, rejected: [{id, reason}], failed: [{id,
        reason}]}``.
    """
    missing = Counter(requested)
    missing.subtract(record['id'] for record in records)
    account = {
        'requested': len(requested),
        'admitted': sum(record['state'] == ADMITTED for record in records),
        **{
            state: [{'id': r['id'], 'reason': r['reason']} for r in records if r['state'] == state]
            for state in (REJECTED, FAILED)
        },
    }
    account[FAILED] += [{'id': identity, 'reason': NOT_REACHED} for identity in missing.elements()]
    labelled = []
    for member, item in enumerate(sets):
        mine = [record for record in records if record['state'] == ADMITTED and record['set'] == member]
        if mine:
            arrays: dict[str, Any] = {
                name: [record[name] for record in mine]
                for name in ('cells', 'positions', 'energies', 'forces', 'virials')
                if name in mine[0]
            }
            origin: dict[str, Any] = {
                'sources': [record['source'] for record in mine],
                'steps': [record['step'] for record in mine],
                'deviations': np.array([record['deviation'] for record in mine], dtype=float),
                'reasons': [record['reason'] for record in mine],
            }
            labelled.append(FrameSet.sort_atoms(symbols=item.symbols, **arrays, **origin))
    return labelled, account
