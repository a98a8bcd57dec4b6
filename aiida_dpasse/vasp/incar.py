"""VASP's INCAR: what labelling needs besides the settings of the electrons.

Tags are VASP's own (vasp.at/wiki), in capitals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: Tags that labelling writes itself: they say how the ions move, what is computed for them, and what is written.
OURS = (
    'NSW',
    'IBRION',
    'ISIF',
    'EDIFFG',
    'POTIM',
    'MDALGO',
    'TEBEG',
    'TEEND',
    'LANGEVIN_GAMMA',
    'RANDOM_SEED',
    'KSPACING',
)
#: Largest first number of RANDOM_SEED.
LARGEST_SEED = 900_000_000


def label_incar(
    incar: Mapping[str, Any],
    elements: Iterable[str] = (),
    dynamics: Mapping[str, Any] | None = None,
    seed: int = 0,
    relaxation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the tags of a job that labels one frame as it is, runs dynamics from it, or relaxes it.

    :param incar: the settings of the electrons.
    :param elements: those of the frame, as the POTCAR has them; dynamics gives each the same friction.
    :param dynamics: ``temperature`` and, unless it stays, ``final_temperature`` (K), ``steps``, ``timestep`` (fs),
        ``friction`` (1/fs): Langevin dynamics at constant volume (MDALGO 3).
    :param seed: of the velocities and the thermostat.
    :param relaxation: ``max_force`` (eV/A), ``steps``, and ``cell``: whether the lattice relaxes, too.
    """
    # ISIF 2: forces and the whole stress, in a cell that stays.
    tags = {name.upper(): value for name, value in incar.items()}
    if relaxation is not None:
        # Conjugate gradients, until each force is small.
        isif, force = (3 if relaxation['cell'] else 2), relaxation['max_force']
        return {**tags, 'NSW': relaxation['steps'], 'IBRION': 2, 'ISIF': isif, 'EDIFFG': -force}
    if dynamics is None:
        return {**tags, 'NSW': 0, 'IBRION': -1, 'ISIF': 2}
    final = dynamics.get('final_temperature') or dynamics['temperature']
    return {
        **tags,
        # The start is VASP's first step.
        'NSW': dynamics['steps'] + 1,
        'IBRION': 0,
        'ISIF': 2,
        'MDALGO': 3,
        'POTIM': dynamics['timestep'],
        'TEBEG': dynamics['temperature'],
        'TEEND': final,
        # 1/ps.
        'LANGEVIN_GAMMA': [1000 * dynamics['friction']] * len(list(elements)),
        'RANDOM_SEED': [seed % LARGEST_SEED, 0, 0],
    }


def temperature_at(step: int, dynamics: Mapping[str, Any]) -> float:
    """Return the temperature in K of a step: VASP changes it evenly."""
    first = float(dynamics['temperature'])
    final = float(dynamics.get('final_temperature') or first)
    return first + (final - first) * step / int(dynamics['steps'])
