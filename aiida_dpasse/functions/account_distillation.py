"""Account for every run and every frame of a distillation."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def account_distillation(starts: orm.Dict, label: orm.Dict, **runs: orm.Dict) -> orm.Dict:
    """Return the account of the frames, as the teacher's labelling gave it, and of the runs under ``dynamics``.

    ``starts`` are the parameters of the choice of starts, with their ``indices``; ``runs`` the results of the teacher's
    molecular dynamics that ended well, by key. Requested runs are admitted or failed.
    """
    requested = [f'md_{index:03d}' for index in range(len(starts['indices']))]
    failed = [
        {'id': key, 'reason': 'the molecular dynamics ended with an error, see the process called by this label'}
        for key in requested
        if key not in runs
    ]
    dynamics = {'requested': len(requested), 'admitted': len(runs), 'rejected': [], 'failed': failed}
    return orm.Dict({**label.get_dict(), 'dynamics': dynamics})
