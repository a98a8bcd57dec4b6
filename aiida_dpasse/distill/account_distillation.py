"""Account for every run and every frame of a distillation."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Runs


@calcfunction
def account_distillation(runs: orm.Dict, label: orm.Dict, **inputs: dict[str, orm.Dict]) -> orm.Dict:
    """Account for every run and every frame of a distillation.

    Every requested run counts as either admitted or failed.

    :param runs: records of the teacher's dynamics, by id.
    :param label: account of the labelling by the teacher.
    :param inputs: ``results`` of the successful dynamics, by id.
    :return: the account of the frames, with that of the runs under ``dynamics``.
    """
    ended = inputs.get('results', {})
    planned = Runs.from_dict(runs.get_dict()).select(what='md')
    failed = [
        {'id': run.label, 'reason': 'the molecular dynamics failed: see the process with this link label'}
        for run in planned
        if run.id not in ended
    ]
    dynamics = {'requested': len(planned), 'admitted': len(ended), 'rejected': [], 'failed': failed}
    return orm.Dict({**label.get_dict(), 'dynamics': dynamics})
