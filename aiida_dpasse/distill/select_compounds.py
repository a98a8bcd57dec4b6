"""Select the frames of given compounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import gcd

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


def reduced_formula(formula: str) -> str:
    """Return a formula divided by the greatest common divisor of its numbers, with elements in alphabetical order.

    :param formula: formula with elements and numbers only.

    >>> reduced_formula('Cl4Li24P4S20')
    'Cl1Li6P1S5'
    """
    counts = {element: int(count or 1) for element, count in re.findall(r'([A-Z][a-z]?)(\d*)', formula)}
    divisor = gcd(*counts.values())
    return ''.join(f'{element}{count // divisor}' for element, count in sorted(counts.items()))


def compounds_of(structures: Iterable[orm.StructureData]) -> list[str]:
    """Return the reduced formulas of ``structures``, sorted and without duplicates."""
    compositions = (structure.get_composition() for structure in structures)
    formulas = (''.join(f'{element}{round(count)}' for element, count in item.items()) for item in compositions)
    return sorted({reduced_formula(formula) for formula in formulas})


def frames_of(formulas: Mapping[str, int], compounds: Iterable[str]) -> int:
    """Return the number of frames that belong to one of the ``compounds``.

    :param formulas: number of frames by formula.
    :param compounds: reduced formulas.
    """
    wanted = set(compounds)
    return sum(count for formula, count in formulas.items() if reduced_formula(formula) in wanted)


@calcfunction
def select_compounds(frames: FramesData, parameters: orm.Dict) -> FramesData:
    """Select the frames of given compounds.

    :param frames: frames of any compounds.
    :param parameters: ``compounds``, a list of reduced formulas.
    :return: the frames whose reduced formula is in the list.
    :raises ValueError: if no frame matches.
    """
    compounds = parameters['compounds']
    chosen = [item for item in frames.sets() if reduced_formula(item.formula) in compounds]
    if not chosen:
        raise ValueError(f'No frame has the composition of {", ".join(compounds)}: give frames of these compounds.')
    return FramesData.from_sets(chosen)
