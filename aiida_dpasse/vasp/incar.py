"""INCAR tags of labelling jobs, in addition to the user's electronic settings.

Tags are those of VASP (vasp.at/wiki), in upper case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: Tags that labelling sets itself: motion of the ions, computed quantities, and k-points.
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
    """Return the tags of a job that labels one frame, runs dynamics from it, or relaxes it.

    :param incar: electronic settings.
    :param elements: elements of the frame in the order of the POTCAR; dynamics applies the same friction to each.
    :param dynamics: ``temperature`` and, if it changes, ``final_temperature`` (K), ``steps``, ``timestep`` (fs) and
        ``friction`` (1/fs) of Langevin dynamics at constant volume (MDALGO 3).
    :param seed: seed of velocities and thermostat.
    :param relaxation: ``max_force`` (eV/A), ``steps`` and ``cell``, which also relaxes the lattice.
    :returns: the tags by name.
    """
    # ISIF 2: forces and full stress tensor at a fixed cell.
    tags = {name.upper(): value for name, value in incar.items()}
    if relaxation is not None:
        # IBRION 2: conjugate gradients; a negative EDIFFG is a criterion on the force of each ion.
        isif, force = (3 if relaxation['cell'] else 2), relaxation['max_force']
        return {**tags, 'NSW': relaxation['steps'], 'IBRION': 2, 'ISIF': isif, 'EDIFFG': -force}
    if dynamics is None:
        return {**tags, 'NSW': 0, 'IBRION': -1, 'ISIF': 2}
    final = dynamics.get('final_temperature') or dynamics['temperature']
    return {
        **tags,
        # VASP counts the initial frame as the first step.
        'NSW': dynamics['steps'] + 1,
        'IBRION': 0,
        'ISIF': 2,
        'MDALGO': 3,
        'POTIM': dynamics['timestep'],
        'TEBEG': dynamics['temperature'],
        'TEEND': final,
        # VASP's unit is 1/ps.
        'LANGEVIN_GAMMA': [1000 * dynamics['friction']] * len(list(elements)),
        'RANDOM_SEED': [seed % LARGEST_SEED, 0, 0],
    }


def temperature_at(step: int, dynamics: Mapping[str, Any]) -> float:
    """Return the temperature in K of a step; VASP changes it linearly.

    :param step: step of the dynamics.
    :param dynamics: as in :func:`label_incar`.
    """
    first = float(dynamics['temperature'])
    final = float(dynamics.get('final_temperature') or first)
    return first + (final - first) * step / int(dynamics['steps'])
