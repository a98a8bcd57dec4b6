"""Select the frames of an exploration that are worth labelling."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.learning.selection import (
    ACCURATE,
    CANDIDATE,
    choose,
    classify,
    count_classes,
    error_per_deviation,
    first_of_each,
    trust_levels,
)
from aiida_dpasse.runs import Runs
from aiida_dpasse.structures.diversity import describe_sets, farthest_points


@calcfunction
def select_candidates(parameters: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Data]) -> dict[str, orm.Data]:
    """Select frames for labelling by the deviation of a committee.

    The statistics satisfy sampled = accurate + candidate + failed and candidate = chosen + known + left_over. ``runs``
    contains the same counts for each run, with its record. ``only_failures`` is true if there is no candidate, and no
    accurate frame other than the first frames of runs.

    :param parameters: ``trust`` (see `trust_levels`), ``max_candidates``, ``max_per_structure``, ``choice`` ('random'
        or 'diverse'), ``relative_deviation`` (eV/A, or None if deviations are in eV/A) and ``seed``.
    :param runs: records of all started runs by id, including runs without frames.
    :param inputs: namespaces ``samples``, the sampled frames with their deviations, by the id of the run; ``known``,
        frames that were labelled or rejected before and are not selected again; ``calibration``, deviations and errors
        of frames labelled before (see `compare_to_labels`).
    :returns: ``statistics`` and, if any are selected, ``candidates``, whose sources are the link labels of their
        samples and whose steps and deviations are those of the samples.
    """
    settings, planned = parameters.get_dict(), Runs.from_dict(runs.get_dict())
    frames = inputs.get('samples', {})
    known = {i for node in inputs.get('known', {}).values() for i in node.ids()}
    pairs = [node for _, node in sorted(inputs.get('calibration', {}).items())]
    samples = [
        item.with_origin(sources=source_of(key)) for key in planned if key in frames for item in frames[key].sets()
    ]
    structure_of = {source_of(key): str(run.structure) for key, run in planned.items()}
    sources = _join([item.sources for item in samples], str)
    deviations = _join([item.deviations for item in samples], float)
    steps = _join([item.steps for item in samples], int)
    truth = _joined(pairs, 'deviations_eV_A'), _joined(pairs, 'errors_eV_A')
    low, high = trust_levels(deviations, settings['trust'], truth)
    classes = classify(deviations, low, high)

    candidates = np.flatnonzero(classes == CANDIDATE)
    ids = _join([item.ids for item in samples], str)[candidates]
    new = candidates[first_of_each(ids, known)]
    structures = [structure_of[source] for source in sources[new]]
    limits = (settings['seed'], settings['max_candidates'], settings['max_per_structure'])
    if settings.get('choice') == 'diverse':
        chosen = new[farthest_points(describe_sets(samples, new), structures, *limits)]
    else:
        chosen = new[choose(structures, *limits)]

    rows = {}
    for key, run in planned.items():
        mine = sources == source_of(key)
        last = int(steps[mine].max()) if mine.any() else None
        rows[key] = {
            **run.to_dict(),
            **count_classes(classes[mine]),
            'chosen': int(mine[chosen].sum()),
            'last_step': last,
        }
    statistics = {
        **count_classes(classes),
        'chosen': len(chosen),
        'known': len(candidates) - len(new),
        'left_over': len(new) - len(chosen),
        'error_per_deviation': error_per_deviation(*truth),
        'trust_low': low,
        'trust_high': high,
        **_summary(deviations),
        'runs_without_frames': [key for key, row in rows.items() if row['last_step'] is None],
        'runs': rows,
    }
    # A run often starts from a crystal whose forces vanish by symmetry, where agreement proves nothing.
    trusted = (classes == ACCURATE) & (steps > 0)
    statistics['only_failures'] = not len(candidates) and not bool(trusted.any())
    outputs: dict[str, orm.Data] = {'statistics': orm.Dict(statistics)}
    if len(chosen):
        unit = '' if settings.get('relative_deviation') else ' eV/A'
        reason = f'deviation between {low:.4g} and {high:.4g}{unit}'
        outputs['candidates'] = FramesData.from_sets(_take(samples, chosen, reason))
    return outputs


def source_of(run: str) -> str:
    """Return the link label of the samples of a run.

    :param run: id of the run.
    """
    return f'samples__{run}'


def _joined(pairs: list[orm.Data], name: str) -> list[float]:
    return [value for node in pairs if isinstance(node, orm.Dict) for value in node[name]]


def _join(arrays: list[Any], kind: type) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype=kind)


def _take(samples: list[FrameSet], chosen: np.ndarray, reason: str) -> list[FrameSet]:
    taken, start = [], 0
    for item in samples:
        mine = chosen[(chosen >= start) & (chosen < start + len(item))] - start
        start += len(item)
        if len(mine):
            taken.append(item.take(mine).with_origin(reasons=reason))
    return concatenate(taken)


def _summary(deviations: np.ndarray) -> dict[str, float | None]:
    finite = deviations[np.isfinite(deviations)]
    if not len(finite):
        return {'deviation_median': None, 'deviation_maximum': None}
    return {'deviation_median': float(np.median(finite)), 'deviation_maximum': float(finite.max())}
