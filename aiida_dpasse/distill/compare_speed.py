"""Compare the speed of two molecular dynamics."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def compare_speed(student: orm.Dict, teacher: orm.Dict) -> orm.Dict:
    """Return the speeds of two molecular dynamics in thousand atom steps a second, and their ``ratio``.

    ``student`` and ``teacher`` are the results of `dpasse.md` on the same structure with the same settings; the
    speed is that of LAMMPS' loop, without its start.

    :raises ValueError: if one of them ran no step.
    """
    speeds = {'student': student['katom_steps_per_s'], 'teacher': teacher['katom_steps_per_s']}
    for label, speed in speeds.items():
        if not speed or speed <= 0:
            raise ValueError(f'The molecular dynamics of the {label} gives no speed: it has to run at least one step.')
    named = {f'{label}_katom_steps_per_s': float(speed) for label, speed in speeds.items()}
    return orm.Dict({**named, 'ratio': float(speeds['student'] / speeds['teacher'])})
