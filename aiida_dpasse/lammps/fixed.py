"""Script lines that freeze some atoms and exclude their degrees of freedom from the temperature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

#: Groups of atoms: the frozen ones, and all others.
HELD, MOVING = 'held', 'moving'
#: Name of the compute of the moving atoms' temperature.
TEMPERATURE = 'moving_temperature'
#: Keeps the script readable; LAMMPS itself accepts lines of any length.
RANGES_A_LINE = 12


def moving_group(values: Mapping[str, Any]) -> str:
    """Return the group of atoms that are given velocities and integrated.

    :param values: parameters of the run, see `script.build_script`.
    """
    return MOVING if values.get('fixed') else 'all'


def ranges_of(sites: Iterable[int]) -> list[str]:
    """Return atom ids in LAMMPS' notation, ``first:last``, counted from 1.

    :param sites: indices of the atoms, counted from 0.

    >>> ranges_of([4, 0, 1, 2, 7])
    ['1:3', '5', '8']
    """
    ids = sorted({site + 1 for site in sites})
    breaks = [index for index, (one, other) in enumerate(pairwise(ids), 1) if other > one + 1]
    parts = [ids[start:end] for start, end in zip([0, *breaks], [*breaks, len(ids)], strict=True)]
    return [f'{part[0]}:{part[-1]}' if len(part) > 1 else str(part[0]) for part in parts if part]


def hold_atoms(values: Mapping[str, Any]) -> list[str]:
    """Return the lines that define the groups and the temperature of the moving atoms; empty if no atoms are ``fixed``.

    Frozen atoms absorb momentum: that of the moving atoms is not conserved, and their centre of mass keeps its three
    degrees of freedom.

    :param values: parameters of the run, see `script.build_script`.
    """
    ranges = ranges_of(values.get('fixed') or [])
    if not ranges:
        return []
    lines = [' '.join(ranges[start : start + RANGES_A_LINE]) for start in range(0, len(ranges), RANGES_A_LINE)]
    return [
        # Repeated group commands are additive.
        *(f'group {HELD} id {line}' for line in lines),
        f'group {MOVING} subtract all {HELD}',
        f'compute {TEMPERATURE} {MOVING} temp',
        f'compute_modify {TEMPERATURE} extra/dof 0',
    ]


def first_velocities(values: Mapping[str, Any]) -> str:
    """Return the line that draws the initial velocities of the moving atoms; frozen atoms have none.

    :param values: parameters of the run, see `script.build_script`.
    """
    group = moving_group(values)
    start = f'velocity {group} create {values["temperature"]:.10g} {values["seed"]}'
    if group == MOVING:
        return f'{start} mom no rot no dist gaussian loop all temp {TEMPERATURE}'
    return f'{start} mom yes rot no dist gaussian loop all'


def thermostat_temperature(name: str, values: Mapping[str, Any]) -> list[str]:
    """Return the line that couples a thermostat to the temperature of the moving atoms, if any atoms are ``fixed``.

    :param name: of the fix that is the thermostat.
    :param values: parameters of the run, see `script.build_script`.
    """
    return [f'fix_modify {name} temp {TEMPERATURE}'] if values.get('fixed') else []
