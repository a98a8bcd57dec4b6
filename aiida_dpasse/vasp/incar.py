"""INCAR tags of labelling jobs, in addition to the user's electronic settings.

Tags are those of VASP (vasp.at/wiki), in upper case. VASP takes some of them as one number for each element of the
POSCAR, for each atom, or for the whole cell. Since frames differ in their elements and atoms, these tags are given by
element, as `{Fe: 4.0}`, and written for each frame (:func:`expand_tags`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ase.data import chemical_symbols

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
#: Tags with one number for each element of the POSCAR, and the number of an element that is not named; None if each
#: has to be named.
PER_ELEMENT: dict[str, float | None] = {
    'LDAUL': -1,
    'LDAUU': 0,
    'LDAUJ': 0,
    'ROPT': None,
    'RWIGS': None,
    'POMASS': None,
    'VDW_ALPHA': None,
    'VDW_C6': None,
    'VDW_R0': None,
}
#: Initial moment in Bohr magnetons of each atom; atoms of elements that are not named have none.
MAGMOM = 'MAGMOM'
#: Number of valence electrons of the cell, the sum over its atoms.
NELECT = 'NELECT'
BY_ELEMENT = (*PER_ELEMENT, MAGMOM, NELECT)
#: Tags of noncollinear magnetism, with which an atom has three moments.
NONCOLLINEAR = ('LNONCOLLINEAR', 'LSORBIT')
#: Names of tags, and what ends the value of one: a line, or a sign of VASP's.
_TAG = re.compile(r'[A-Za-z][A-Za-z0-9_/]*')
_ENDS = re.compile(r'[;=#!{}\\"\0-\x1f\x7f]')
#: Largest first number of RANDOM_SEED.
LARGEST_SEED = 900_000_000


def objection_to_tags(incar: Mapping[str, Any], elements: Iterable[str] | None = None) -> str | None:
    """Check the tags of single elements, atoms or cells.

    :param incar: electronic settings.
    :param elements: elements of all frames; None if they are not known.
    :returns: a clause that states the problem, or None.
    """
    for name, value in incar.items():
        if not _TAG.fullmatch(name):
            return f'{name!r} is not the name of a tag: correct it'
        if isinstance(value, Mapping) and name.upper() not in BY_ELEMENT:
            return f'{name} is no tag of single elements: give a number, text or a list'
        texts = value if isinstance(value, list) else [value]
        if wrong := [text for text in texts if not isinstance(text, (str, int, float, Mapping, type(None)))]:
            return f'{name} should be a number, text or a list of them, got {str(wrong[0])[:60]!r}'
        if any(isinstance(text, str) and _ENDS.search(text) for text in texts):
            return f'the value of {name} contains a character that begins another tag: remove it'
    tags = {name.upper(): value for name, value in incar.items()}
    known = None if elements is None else sorted(set(elements))
    for name, value in tags.items():
        if name not in BY_ELEMENT or value is None:
            continue
        if name == MAGMOM and any(tags.get(other) for other in NONCOLLINEAR):
            return 'MAGMOM cannot be given with noncollinear magnetism: remove one of them'
        if not isinstance(value, Mapping):
            # One number stands for all atoms, or all elements, only where it is the same for each frame.
            if _is_number(value) and (name == MAGMOM or (name != NELECT and (known is None or len(known) == 1))):
                continue
            return (
                f'{name} is a number of each {_OWNERS.get(name, "element")}, which differs between frames: '
                f'give it by element, as {{Fe: 4.0}}'
            )
        if others := [element for element in value if element not in chemical_symbols[1:]]:
            return f'{name}: {others[0]!r} is not an element; its keys should be symbols of elements'
        if wrong := [element for element, number in value.items() if not _is_number(number)]:
            return f'{name}: the value of {wrong[0]} should be a number, got {value[wrong[0]]!r}'
        needs_all = name == NELECT or PER_ELEMENT.get(name, 0) is None
        if needs_all and (missing := [element for element in known or () if element not in value]):
            return f'{name} has no value for {missing[0]}: give one for each element of the frames'
    return None


_OWNERS = {MAGMOM: 'atom', NELECT: 'cell'}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def expand_tags(incar: Mapping[str, Any], symbols: Sequence[str]) -> dict[str, Any]:
    """Return the tags of one frame, with those that are given by element in the order of its POSCAR.

    :param incar: electronic settings, see :func:`objection_to_tags`.
    :param symbols: element of each atom, the atoms of an element in succession.
    :returns: the tags by name in upper case: lists for ``PER_ELEMENT``, text such as `4*5.0 16*0` for ``MAGMOM``, and a
        number for ``NELECT``.
    """
    counts = Counter(symbols)
    tags = {}
    for tag, value in incar.items():
        name = tag.upper()
        if name == MAGMOM and _is_number(value):
            value = dict.fromkeys(counts, value)
        if not isinstance(value, Mapping):
            tags[name] = value
        elif name == MAGMOM:
            tags[name] = ' '.join(f'{count}*{value.get(element, 0)}' for element, count in counts.items())
        elif name == NELECT:
            tags[name] = sum(count * value[element] for element, count in counts.items())
        else:
            tags[name] = [value.get(element, PER_ELEMENT[name]) for element in counts]
    return tags


def label_incar(
    incar: Mapping[str, Any],
    symbols: Sequence[str] = (),
    dynamics: Mapping[str, Any] | None = None,
    seed: int = 0,
    relaxation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the tags of a job that labels one frame, runs dynamics from it, or relaxes it.

    :param incar: electronic settings.
    :param symbols: element of each atom of the frame; dynamics applies the same friction to each element.
    :param dynamics: ``temperature`` and, if it changes, ``final_temperature`` (K), ``steps``, ``timestep`` (fs) and
        ``friction`` (1/fs) of Langevin dynamics at constant volume (MDALGO 3).
    :param seed: seed of velocities and thermostat.
    :param relaxation: ``max_force`` (eV/A), ``steps`` and ``cell``, which also relaxes the lattice.
    :returns: the tags by name.
    """
    # ISIF 2: forces and full stress tensor at a fixed cell.
    tags = expand_tags(incar, symbols)
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
        'LANGEVIN_GAMMA': [1000 * dynamics['friction']] * len(set(symbols)),
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
