"""Errors of a fine-tuning study against the number of frames."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assessment.repeats import ERRORS, mean_errors
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.train.plan_learning_curve import ZERO_SHOT

#: Kind of a potential in the table, by the kind of its run.
KINDS = {'zero_shot': 'zero-shot', 'aligned': 'aligned', 'tuned': 'fine-tuned', 'scratch': 'from scratch'}


@calcfunction
def tabulate_learning_curve(results: orm.Dict, runs: orm.Dict) -> orm.Dict:
    """Tabulate the errors of a fine-tuning study.

    :param results: results of `dpasse.evaluate`, by the id of the run that made the potential.
    :param runs: records of the runs by id.
    :returns: ``points``, the errors of every potential; ``summary``, mean and standard error over the repeats;
        ``fewest_frames``, see `fewest_frames`.
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
    """Return the fewest frames on which a fine-tuned potential is as accurate as one trained from scratch on the most.

    Accuracy is the mean absolute error of the forces.

    :param summary: rows of `tabulate_learning_curve`.
    :returns: frames and errors (meV per atom, meV/A) of both potentials; None if no number suffices or nothing was
        trained from scratch.
    """
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
