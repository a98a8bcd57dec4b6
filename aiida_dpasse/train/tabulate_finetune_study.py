"""Errors against the number of frames: what fine-tuning saves."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.repeats import ERRORS, mean_errors
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.train.plan_finetune_study import ZERO_SHOT

#: How a potential was made, by the kind of its run.
KINDS = {'zero_shot': 'zero-shot', 'aligned': 'aligned', 'tuned': 'fine-tuned', 'scratch': 'from scratch'}


@calcfunction
def tabulate_finetune_study(results: orm.Dict, runs: orm.Dict) -> orm.Dict:
    """Return ``points``, the errors of every potential, and ``summary``, mean and standard error over the repeats.

    :param results: of `dpasse.evaluate`, by the ids of the runs that made the potentials.
    :param runs: the record of each run, by its id.
    """
    made = Runs([ZERO_SHOT, *Runs.from_dict(runs.get_dict()).values()])
    points = [_point(made[key], values) for key, values in sorted(results.get_dict().items())]
    summary = []
    for kind, frames in sorted({(point['kind'], point['frames']) for point in points}):
        alike = [point for point in points if (point['kind'], point['frames']) == (kind, frames)]
        summary.append({'kind': kind, 'frames': frames, 'repeats': len(alike), **mean_errors(alike)})
    return orm.Dict({'points': points, 'summary': summary, 'fewest_frames': fewest_frames(summary)})


def _point(run: Run, values: dict[str, Any]) -> dict[str, Any]:
    who = {'kind': KINDS[run.what], 'frames': run.size or 0, 'repeat': run.replica or 0}
    return {**run.to_dict(), **who, **{name: values[name] for name in ERRORS}}


def fewest_frames(summary: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the fewest frames with which fine-tuning has smaller errors of the forces than training from scratch on
    the most frames, None if it never has or nothing was trained from scratch."""
    scratch = [row for row in summary if row['kind'] == 'from scratch']
    if not scratch:
        return None
    most = max(scratch, key=lambda row: int(row['frames']))
    better = [
        row for row in summary if row['kind'] == 'fine-tuned' and row['force_mae_meV_A'] <= most['force_mae_meV_A']
    ]
    if not better:
        return None
    fewest = min(better, key=lambda row: int(row['frames']))
    names = ('frames', 'energy_mae_meV_atom', 'force_mae_meV_A')
    return {'fine_tuned': {n: fewest[n] for n in names}, 'from_scratch': {n: most[n] for n in names}}
