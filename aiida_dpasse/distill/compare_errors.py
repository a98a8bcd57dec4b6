"""Bring the errors of a student against its teacher and against reference labels together."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def compare_errors(against_teacher: orm.Dict, against_reference: orm.Dict | None = None) -> orm.Dict:
    """Return both tables of `dpasse.evaluate` in one.

    ``against_teacher`` holds the student's errors on frames that the teacher labelled and the student never saw;
    ``against_reference`` those of student and teacher on frames with reference labels, null without such frames.
    """
    reference = None if against_reference is None else against_reference.get_dict()
    return orm.Dict({'against_teacher': against_teacher.get_dict(), 'against_reference': reference})
