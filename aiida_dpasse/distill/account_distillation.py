"""Account for every run and every frame of a distillation."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Runs


@calcfunction
def account_distillation(runs: orm.Dict, label: orm.Dict, **inputs: dict[str, orm.Dict]) -> orm.Dict:
    """Return the account of the frames, as the teacher's labelling gave it, and of the runs under ``dynamics``.

    Requested runs are admitted or failed.

    :param runs: the records of the teacher's dynamics, by id.
    :param label: account of the labelling.
    :param inputs: ``results`` of the dynamics that ended well, by id.
    """
    ended = inputs.get('results', {})
    planned = Runs.from_dict(runs.get_dict()).select(what='md')
    failed = [
        {'id': run.label, 'reason': 'the molecular dynamics ended with an error, see the process called by this label'}
        for run in planned
        if run.id not in ended
    ]
    dynamics = {'requested': len(planned), 'admitted': len(ended), 'rejected': [], 'failed': failed}
    return orm.Dict({**label.get_dict(), 'dynamics': dynamics})
