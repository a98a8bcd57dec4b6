"""Take the frames of some compounds out of frames of many."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import gcd

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


def reduced_formula(formula: str) -> str:
    """Return ``formula`` divided by the greatest common divisor of its numbers, elements in alphabetical order.

    >>> reduced_formula('Cl4Li24P4S20')
    'Cl1Li6P1S5'
    """
    counts = {element: int(count or 1) for element, count in re.findall(r'([A-Z][a-z]?)(\d*)', formula)}
    divisor = gcd(*counts.values())
    return ''.join(f'{element}{count // divisor}' for element, count in sorted(counts.items()))


def compounds_of(structures: Iterable[orm.StructureData]) -> list[str]:
    """Return the reduced formulas of ``structures``, sorted, each once."""
    compositions = (structure.get_composition() for structure in structures)
    formulas = (''.join(f'{element}{round(count)}' for element, count in item.items()) for item in compositions)
    return sorted({reduced_formula(formula) for formula in formulas})


def frames_of(formulas: Mapping[str, int], compounds: Iterable[str]) -> int:
    """Return how many frames, counted by formula, are of one of the ``compounds``."""
    wanted = set(compounds)
    return sum(count for formula, count in formulas.items() if reduced_formula(formula) in wanted)


@calcfunction
def select_compounds(frames: FramesData, parameters: orm.Dict) -> FramesData:
    """Return the frames whose reduced formula is one of ``parameters['compounds']``.

    :raises ValueError: if there are none.
    """
    compounds = parameters['compounds']
    chosen = [item for item in frames.sets() if reduced_formula(item.formula) in compounds]
    if not chosen:
        raise ValueError(f'None of the frames is of {", ".join(compounds)}: give frames of these compounds.')
    return FramesData.from_sets(chosen)
