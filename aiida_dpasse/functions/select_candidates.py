"""Choose the frames of an exploration that are worth a label."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.deepmd.selection import (
    ACCURATE,
    CANDIDATE,
    choose,
    classify,
    count_classes,
    error_per_deviation,
    first_of_each,
    trust_levels,
)
from aiida_dpasse.structures.diversity import describe_sets, farthest_points

KNOWN, CALIBRATION = 'known_', 'calibration_'


@calcfunction
def select_candidates(parameters: orm.Dict, **nodes: orm.Data) -> dict[str, orm.Data]:
    """Return ``statistics`` and, if there are any, ``candidates``.

    ``nodes`` are the frames that the runs sampled, by the run's name, with their deviations; those named
    ``known_...`` hold frames that were labelled, or requested and refused, before: they are never chosen again; those
    named ``calibration_...`` hold deviations and errors (see `compare_to_labels`) of frames labelled before.
    ``parameters`` holds ``trust`` (see `trust_levels`), ``max_candidates``, ``max_per_structure``, ``choice``
    ('random' or 'diverse'), ``relative_deviation`` (eV/A, or None if deviations are in eV/A), ``seed`` and ``runs``:
    {name: {structure, steps, ...}} of every run that was started, those that gave no frame included.

    The candidates' ``sources`` are the names of the runs, their steps and deviations are the samples' own.
    Statistics: sampled = accurate + candidate + failed, and candidate = chosen + known + left_over; ``runs``
    the same per run; ``only_failures`` says that there is no candidate and no accurate frame but starts.
    """
    settings = parameters.get_dict()
    frames = {label: node for label, node in nodes.items() if isinstance(node, FramesData)}
    known = {i for label, node in frames.items() if label.startswith(KNOWN) for i in node.ids()}
    pairs = [node for label, node in sorted(nodes.items()) if label.startswith(CALIBRATION)]
    samples = [
        item.with_origin(sources=label)
        for label in sorted(settings['runs'])
        if label in frames
        for item in frames[label].sets()
    ]
    sources = _join([item.sources for item in samples], str)
    deviations = _join([item.deviations for item in samples], float)
    steps = _join([item.steps for item in samples], int)
    truth = _joined(pairs, 'deviations_eV_A'), _joined(pairs, 'errors_eV_A')
    low, high = trust_levels(deviations, settings['trust'], truth)
    classes = classify(deviations, low, high)

    candidates = np.flatnonzero(classes == CANDIDATE)
    ids = _join([item.ids for item in samples], str)[candidates]
    new = candidates[first_of_each(ids, known)]
    structures = [settings['runs'][source]['structure'] for source in sources[new]]
    limits = (settings['seed'], settings['max_candidates'], settings['max_per_structure'])
    if settings.get('choice') == 'diverse':
        chosen = new[farthest_points(describe_sets(samples, new), structures, *limits)]
    else:
        chosen = new[choose(structures, *limits)]

    runs = {}
    for label, run in settings['runs'].items():
        mine = sources == label
        last = int(steps[mine].max()) if mine.any() else None
        runs[label] = {
            **run,
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
        'runs_without_frames': sorted(label for label, run in runs.items() if run['last_step'] is None),
        'runs': runs,
    }
    # The start of a run is often a crystal whose forces vanish by symmetry: that alone is no success.
    trusted = (classes == ACCURATE) & (steps > 0)
    statistics['only_failures'] = not len(candidates) and not bool(trusted.any())
    outputs: dict[str, orm.Data] = {'statistics': orm.Dict(statistics)}
    if len(chosen):
        unit = '' if settings.get('relative_deviation') else ' eV/A'
        reason = f'deviation between {low:.4g} and {high:.4g}{unit}'
        outputs['candidates'] = FramesData.from_sets(_take(samples, chosen, reason))
    return outputs


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
