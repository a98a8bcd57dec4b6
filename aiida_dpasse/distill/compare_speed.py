"""Compare the speed of two molecular dynamics runs."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def compare_speed(student: orm.Dict, teacher: orm.Dict) -> orm.Dict:
    """Compare the speed of two molecular dynamics runs on the same structure with the same settings.

    The speed is that of the LAMMPS loop, without its start-up.

    :param student: results of `dpasse.md` with the student.
    :param teacher: results of `dpasse.md` with the teacher.
    :return: both speeds in thousand atom steps per second, and their ``ratio``.
    :raises ValueError: if one of the runs has no completed step.
    """
    speeds = {'student': student['katom_steps_per_s'], 'teacher': teacher['katom_steps_per_s']}
    for label, speed in speeds.items():
        if not speed or speed <= 0:
            raise ValueError(f'The speed of the {label} is unknown: its molecular dynamics has no completed step.')
    named = {f'{label}_katom_steps_per_s': float(speed) for label, speed in speeds.items()}
    return orm.Dict({**named, 'ratio': float(speeds['student'] / speeds['teacher'])})
