"""Tabulate the spread of the force on the centres by distance, and account for every frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from numpy.typing import NDArray

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.frames.select_candidates import source_of
from aiida_dpasse.landscape.locality import MILLI, Spread, force_spread, judge, pool
from aiida_dpasse.runs import Runs

#: Reason of a frame that is missing from the account of the labelling.
UNNAMED = 'missing from the account of the labelling'
NOT_RUN = 'the molecular dynamics failed: see the process with this link label'


@calcfunction
def tabulate_locality(spheres: orm.Dict, runs: orm.Dict, samples: FramesData, **labelling: orm.Data) -> orm.Dict:
    """Tabulate the spread of the force on the centres.

    In each run ``requested`` equals ``labelled`` plus the numbers of ``rejected`` and ``failed`` frames plus
    ``not_sampled``.

    :param spheres: output ``spheres`` of :func:`plan_locality`.
    :param runs: record of each run, by its id.
    :param samples: frames of the successful runs, see :func:`collect_samples`.
    :param labelling: ``frames``, the labelled frames, if there are any, and the ``account`` of all frames.
    :return: ``rows`` by distance; ``runs`` by distance and centre, with their records; ``force_tolerance_meV_A``;
        ``r_cut_A``, the smallest cutoff whose bound is below the tolerance, or null; and the ``verdict``.
    """
    plan = spheres.get_dict()
    found = labelling.get('frames')
    forces = _forces(found) if isinstance(found, FramesData) else {}
    account = labelling['account'].get_dict()
    lost = {entry['id']: (state, entry['reason']) for state in ('rejected', 'failed') for entry in account[state]}
    rows_of_runs: list[dict[str, Any]] = []
    spreads = {}
    sampled = _sampled(samples)
    for key, record in Runs.from_dict(runs.get_dict()).items():
        sphere, ids = plan['runs'][key], sampled.get(source_of(key), [])
        labelled = [forces[identity][sphere['atom']] for identity in ids if identity in forces]
        states = {identity: lost.get(identity, ('failed', UNNAMED)) for identity in ids if identity not in forces}
        missing = plan['frames'] - len(ids)
        run: dict[str, Any] = {
            'run': key,
            **record.to_dict(),
            'distance_A': sphere['distance'],
            **{name: sphere[name] for name in ('centre', 'element')},
            **{f'{name}_atoms': sphere[name] for name in ('held', 'mobile')},
            'requested': plan['frames'],
            'labelled': len(labelled),
            'not_sampled': missing,
            'reason': None if ids else NOT_RUN,
        }
        for state in ('rejected', 'failed'):
            run[state] = [{'id': name, 'reason': reason} for name, (kind, reason) in states.items() if kind == state]
        if len(labelled) > 1:
            spreads[key] = force_spread(labelled)
        rows_of_runs.append({**run, **_numbers(spreads.get(key))})
    distances = sorted({run['distance_A'] for run in rows_of_runs})
    rows = [_row(distance, rows_of_runs, spreads) for distance in distances]
    radius, verdict = judge(rows, plan['force_tolerance'])
    if unlabelled := sum(run['requested'] - run['labelled'] for run in rows_of_runs):
        total = sum(run['requested'] for run in rows_of_runs)
        verdict += f' {unlabelled} of {total} frames have no label: see `runs`.'
    content = {'force_tolerance_meV_A': plan['force_tolerance'], 'r_cut_A': radius, 'verdict': verdict}
    return orm.Dict({'rows': rows, 'runs': rows_of_runs, **content})


def _forces(frames: FramesData) -> dict[str, NDArray[np.float64]]:
    """Return the forces (atoms, 3) of each frame by its id."""
    return {
        str(identity): values
        for item in frames.sets()
        if item.forces is not None
        for identity, values in zip(item.ids, item.forces, strict=True)
    }


def _sampled(samples: FramesData) -> dict[str, list[str]]:
    """Return the frame ids of each run in chronological order, by the source of the frames."""
    found: dict[str, list[tuple[int, str]]] = {}
    for item in samples.sets():
        for source, step, identity in zip(item.sources, item.steps, item.ids, strict=True):
            found.setdefault(str(source), []).append((int(step), str(identity)))
    return {key: [identity for _, identity in sorted(frames)] for key, frames in found.items()}


def _numbers(spread: Spread | None) -> dict[str, Any]:
    if spread is None:
        names = ('force_spread_meV_A', 'force_spread_error_meV_A', 'component_spread_meV_A', 'independent_frames')
        return dict.fromkeys(names)
    return {
        'force_spread_meV_A': MILLI * spread.rms,
        'force_spread_error_meV_A': MILLI * spread.rms_error,
        'component_spread_meV_A': [MILLI * float(value) for value in np.sqrt(spread.variance)],
        'independent_frames': spread.independent,
    }


def _row(distance: float, runs: list[dict[str, Any]], spreads: Mapping[str, Spread]) -> dict[str, Any]:
    """Return the row of one distance, pooled over its centres; centres with fewer than two labelled frames are left
    out.
    """
    of_distance = [run for run in runs if run['distance_A'] == distance]
    known = [spreads[run['run']] for run in of_distance if run['run'] in spreads]
    return {
        'distance_A': distance,
        'r_cut_A': distance / 2,
        **_numbers(pool(known) if known else None),
        'frames': sum(spread.frames for spread in known),
        'centres': len(known),
        # The number differs between centres, whose surroundings differ: report the smallest.
        'mobile_atoms': min(run['mobile_atoms'] for run in of_distance),
        'held_atoms': max(run['held_atoms'] for run in of_distance),
    }
