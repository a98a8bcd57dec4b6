"""Journal of a labelling job, one line per finished frame, which preserves the results of a killed job.

The driver writes it. The parser reads it if the job ended before the dataset was written.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.labels.admission import Labels, finite, objection_to_geometry, objection_to_labels, outliers

JOURNAL = 'journal.jsonl'
NOT_REACHED = 'the job ended before this frame was done'
ADMITTED, REJECTED, FAILED = 'admitted', 'rejected', 'failed'
#: Key of an account: ids of the failed frames that the program never attempted.
UNREACHED = 'unreached'
AUDIT = 'audit'


def requested_ids(sets: Sequence[FrameSet], dynamics: Mapping[str, Any] | None = None) -> list[str]:
    """Return the names of everything that a job must account for.

    :param sets: frames of the job.
    :param dynamics: ``steps`` and ``interval`` of dynamics, or None.
    :returns: the ids of the frames and, with dynamics, ``<id>:<step>`` of each sample.
    """
    steps = [] if dynamics is None else range(dynamics['interval'], dynamics['steps'] + 1, dynamics['interval'])
    return [
        name
        for item in sets
        for identity in item.ids
        for name in (str(identity), *(f'{identity}:{step}' for step in steps))
    ]


def sound_frames(item: FrameSet, limits: Mapping[str, Any]) -> list[int]:
    """Return the indices of the frames that are worth labelling; the mode `audit` labels all.

    :param item: set of frames.
    :param limits: acceptance criteria, see `limits_of`.
    """
    if limits.get('mode') == AUDIT:
        return list(range(len(item)))
    return [frame for frame in range(len(item)) if objection_to_geometry(item, frame, limits) is None]


def one_line(error: Exception) -> str:
    """Return type and message of an exception in one line of limited length."""
    text = ' '.join(str(error).split())
    return f'{type(error).__name__}: {text}'[:300] if text else type(error).__name__


class Unreached(str):
    """Reason for a missing label of a frame that the program never attempted, and which is worth another attempt."""


class Records:
    """Outcome of each frame, in memory; `Journal` also writes it to a file."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def judge(
        self, identity: str, member: int, frame: FrameSet, outcome: Labels | Exception | str, limits: Mapping[str, Any]
    ) -> None:
        """Record ``frame`` as accepted, rejected or failed.

        :param identity: name of the frame, see `requested_ids`.
        :param member: index of the input set, whose formula the frame has.
        :param frame: the frame, a set of one.
        :param outcome: its labels, or why there are none.
        :param limits: acceptance criteria; the mode `audit` accepts all finite labels and records the objection.
        """
        audit = limits.get('mode') == AUDIT
        objection = objection_to_geometry(frame, 0, limits)
        if objection and not audit:
            self.discard(identity, REJECTED, objection)
        elif not isinstance(outcome, Labels):
            reason = outcome if isinstance(outcome, str) else one_line(outcome)
            self.discard(identity, FAILED, reason, reached=not isinstance(outcome, Unreached))
        else:
            volume = float(np.linalg.det(frame.cells[0]))
            objection = objection or objection_to_labels(outcome, volume, limits)
            if objection and not (audit and finite(outcome)):
                self.discard(identity, REJECTED, objection)
            else:
                virials = None if outcome.virial is None else [outcome.virial]
                labelled = frame.with_labels([outcome.energy], [outcome.forces], virials)
                self.admit(identity, member, labelled, objection)

    def discard(self, identity: str, state: str, reason: str, reached: bool = True) -> None:
        """Record a rejected or failed frame.

        :param identity: name of the frame.
        :param state: `REJECTED` or `FAILED`.
        :param reason: why it was rejected or failed.
        :param reached: whether the program attempted the frame.
        """
        self._add({'id': identity, 'state': state, 'reason': str(reason), **({} if reached else {'reached': False})})

    def admit(self, identity: str, member: int, frame: FrameSet, objection: str | None = None) -> None:
        """Record an accepted frame.

        :param identity: name of the frame.
        :param member: index of the input set, whose formula the frame has.
        :param frame: labelled frame, a set of one.
        :param objection: why the mode `strict` would have rejected it, if it would.
        """
        labels = {name: getattr(frame, name) for name in ('energies', 'forces', 'virials')}
        arrays = {'cells': frame.cells, 'positions': frame.positions, **labels}
        self._add(
            {
                'id': identity,
                'state': ADMITTED,
                'objection': objection,
                'set': member,
                'source': str(frame.sources[0]),
                'step': int(frame.steps[0]),
                'deviation': None if np.isnan(frame.deviations[0]) else float(frame.deviations[0]),
                'reason': str(frame.reasons[0]),
                **{name: array[0].tolist() for name, array in arrays.items() if array is not None},
            }
        )

    def _add(self, record: dict[str, Any]) -> None:
        self.records.append(record)


class Journal(Records):
    """Records that are appended to a file, one JSON line per finished frame, and flushed at once."""

    def __init__(self, path: str | Path = JOURNAL):
        super().__init__()
        self._handle = Path(path).open('a')  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()

    def _add(self, record: dict[str, Any]) -> None:
        # A float survives the round trip through JSON exactly, so the id of the frame is unchanged.
        self._handle.write(json.dumps(record) + '\n')
        self._handle.flush()


def read_journal(text: str) -> list[dict[str, Any]]:
    """Return the records of a journal; a line truncated by a kill is skipped.

    :param text: content of the journal.
    """
    records = []
    for line in text.splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def without_cut_run(records: Sequence[dict[str, Any]], dynamics: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the records without those of the last dynamics, if the job interrupted it and others finished.

    The interrupted dynamics is requested again from its start. If it is the only one of the job, its records are kept.

    :param records: records of the job, in order.
    :param dynamics: ``steps`` and ``interval`` of dynamics, or None.
    """
    if dynamics is None or not records:
        return list(records)
    last = records[-1]['id'].partition(':')[0]
    cut = [record for record in records if record['id'].partition(':')[0] == last]
    whole = len(cut) == 1 + dynamics['steps'] // dynamics['interval']
    return list(records) if whole or len(cut) == len(records) else list(records[: -len(cut)])


def collect(
    records: Sequence[dict[str, Any]],
    sets: Sequence[FrameSet],
    requested: Sequence[str],
    limits: Mapping[str, Any],
) -> tuple[list[FrameSet], dict[str, Any]]:
    """Return the accepted frames, one set per input set, and the account of everything requested.

    :param records: records of the job.
    :param sets: frames of the job.
    :param requested: names of :func:`requested_ids`; those without a record have failed.
    :param limits: ``mode`` and ``max_energy_deviation`` (eV per atom), which is applied to all frames of a set.
    :returns: the labelled sets, and ``{requested, admitted, rejected, failed, objections, unreached}``. ``rejected``,
        ``failed`` and ``objections`` are lists of ``{id, reason}``. Objections concern accepted frames and exist in the
        mode `audit` only. ``unreached`` lists the ids of the failed frames that the program never attempted.
    """
    records = _without_outliers(records, sets, limits)
    missing = Counter(requested)
    missing.subtract(record['id'] for record in records)
    account = {
        'requested': len(requested),
        'admitted': sum(record['state'] == ADMITTED for record in records),
        **{
            state: [{'id': r['id'], 'reason': r['reason']} for r in records if r['state'] == state]
            for state in (REJECTED, FAILED)
        },
        'objections': [{'id': r['id'], 'reason': r['objection']} for r in records if r.get('objection')],
    }
    left = list(missing.elements())
    account[FAILED] += [{'id': identity, 'reason': NOT_REACHED} for identity in left]
    account[UNREACHED] = [r['id'] for r in records if r['state'] == FAILED and not r.get('reached', True)] + left
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


def settle(
    sets: Sequence[FrameSet],
    outcomes: Mapping[str, Labels | Exception | str],
    limits: Mapping[str, Any],
    missing: str = Unreached(NOT_REACHED),
    samples: Mapping[str, FrameSet] | None = None,
) -> tuple[list[FrameSet], dict[str, Any]]:
    """Return the result of :func:`collect` for a program whose output is complete, without a journal.

    :param sets: frames of the job.
    :param outcomes: labels or the reason of a failure, by the names of :func:`requested_ids`.
    :param limits: acceptance criteria, see `limits_of`.
    :param missing: reason for frames without outcome.
    :param samples: frames (sets of one) sampled from dynamics or relaxed, by the same names; other names are those of
        input frames.
    """
    records, samples = Records(), samples or {}
    for member, item in enumerate(sets):
        for frame in range(len(item)):
            start = item.take([frame])
            for name in requested_ids([start], limits.get('dynamics')):
                outcome = outcomes.get(name, missing)
                sample = samples.get(name, start)
                records.judge(name, member, sample, outcome, limits)
    return collect(records.records, sets, requested_ids(sets, limits.get('dynamics')), limits)


def _without_outliers(
    records: Sequence[dict[str, Any]], sets: Sequence[FrameSet], limits: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the records with energy outliers of a set turned into rejections, or into objections in an audit."""
    judged = list(records)
    for member, item in enumerate(sets):
        mine = [index for index, r in enumerate(judged) if r['state'] == ADMITTED and r['set'] == member]
        energies = [judged[index]['energies'] / item.natoms for index in mine]
        for place, reason in outliers(energies, limits.get('max_energy_deviation')).items():
            record = judged[mine[place]]
            if limits.get('mode') == AUDIT:
                judged[mine[place]] = {**record, 'objection': record['objection'] or reason}
            else:
                judged[mine[place]] = {'id': record['id'], 'state': REJECTED, 'reason': reason}
    return judged
