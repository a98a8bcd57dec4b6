"""Combine the errors of a student against its teacher and against reference labels."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def compare_errors(against_teacher: orm.Dict, against_reference: orm.Dict | None = None) -> orm.Dict:
    """Combine two error tables of `dpasse.evaluate`.

    :param against_teacher: errors of the student on frames that the teacher labelled and that were held out of the
        training.
    :param against_reference: errors of student and teacher on frames with reference labels.
    :return: both tables under the names of the parameters; ``against_reference`` is null without such frames.
    """
    reference = None if against_reference is None else against_reference.get_dict()
    return orm.Dict({'against_teacher': against_teacher.get_dict(), 'against_reference': reference})
