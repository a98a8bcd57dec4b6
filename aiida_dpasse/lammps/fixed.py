"""Lines of the script that hold some atoms where they are, and do not count their degrees of freedom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

#: Groups of atoms: those that are held, and all others.
HELD, MOVING = 'held', 'moving'
#: Temperature of the atoms that move.
TEMPERATURE = 'moving_temperature'
#: LAMMPS reads lines of any length; people do not.
RANGES_A_LINE = 12


def moving_group(values: Mapping[str, Any]) -> str:
    """Return the group of the atoms that are given velocities and are integrated."""
    return MOVING if values.get('fixed') else 'all'


def ranges_of(sites: Iterable[int]) -> list[str]:
    """Return the ids of the atoms at ``sites``, which count from 0, as LAMMPS writes them: from 1, ``first:last``.

    >>> ranges_of([4, 0, 1, 2, 7])
    ['1:3', '5', '8']
    """
    ids = sorted({site + 1 for site in sites})
    breaks = [index for index, (one, other) in enumerate(pairwise(ids), 1) if other > one + 1]
    parts = [ids[start:end] for start, end in zip([0, *breaks], [*breaks, len(ids)], strict=True)]
    return [f'{part[0]}:{part[-1]}' if len(part) > 1 else str(part[0]) for part in parts if part]


def hold_atoms(values: Mapping[str, Any]) -> list[str]:
    """Declare the groups and the temperature of those that move, none if nothing is ``fixed``.

    Atoms that are held take up momentum: that of the others is not conserved, and their centre of mass keeps its three
    degrees of freedom.
    """
    ranges = ranges_of(values.get('fixed') or [])
    if not ranges:
        return []
    lines = [' '.join(ranges[start : start + RANGES_A_LINE]) for start in range(0, len(ranges), RANGES_A_LINE)]
    return [
        # A group that is named again takes the further atoms in.
        *(f'group {HELD} id {line}' for line in lines),
        f'group {MOVING} subtract all {HELD}',
        f'compute {TEMPERATURE} {MOVING} temp',
        f'compute_modify {TEMPERATURE} extra/dof 0',
    ]


def first_velocities(values: Mapping[str, Any]) -> str:
    """Draw the velocities of the atoms that move; those that are held have none."""
    group = moving_group(values)
    start = f'velocity {group} create {values["temperature"]:.10g} {values["seed"]}'
    if group == MOVING:
        return f'{start} mom no rot no dist gaussian loop all temp {TEMPERATURE}'
    return f'{start} mom yes rot no dist gaussian loop all'


def thermostat_temperature(name: str, values: Mapping[str, Any]) -> list[str]:
    """Have the thermostat of the fix ``name`` see the temperature of the atoms that move."""
    return [f'fix_modify {name} temp {TEMPERATURE}'] if values.get('fixed') else []
