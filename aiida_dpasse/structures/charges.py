"""Formal charges of the elements of a crystal, and whether they balance."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import product

import numpy as np
from pymatgen.core import Composition, Element, Species, Structure

#: Sum of the charges, relative to that of the positive ones, up to which it is due to errors of the occupancies.
BALANCE = 0.05
#: Beside the common oxidation states of an element, those of metals are usual that this part of its compounds in the
#: ICSD has; anions such as S- (polysulfides) would otherwise balance crystals whose lithium is missing.
USUAL = 0.03
#: Common states that are rarer than this part, such as Cl+7, have to be given.
RARE = 0.02


def guess_charges(composition: Composition) -> tuple[dict[str, float], float]:
    """Return the most probable usual oxidation state of each element, and their sum in the crystal.

    Among the combinations of one state for each element, those whose sum is within `BALANCE` of zero are preferred, and
    of these the most probable is taken. The frequencies of the states are pymatgen's, from the ICSD.

    :param composition: of the crystal; amounts need not be whole.
    """
    amounts = composition.get_el_amt_dict()
    frequencies = [_usual_states(name) for name in amounts]
    best: tuple[bool, float, dict[str, float], float] | None = None
    for combination in product(*frequencies):
        chosen = {name: float(state) for name, state in zip(amounts, combination, strict=True)}
        total = sum(charge * amounts[name] for name, charge in chosen.items())
        positive = sum(charge * amounts[name] for name, charge in chosen.items() if charge > 0)
        weight = sum(
            n * np.log(parts[q]) for n, q, parts in zip(amounts.values(), combination, frequencies, strict=True)
        )
        balanced = positive > 0 and abs(total) <= BALANCE * positive
        if best is None or (balanced, weight) > best[:2]:
            best = (balanced, weight, chosen, total)
    assert best is not None, 'A composition has at least one element'
    return best[2], best[3]


@cache
def _usual_states(name: str) -> dict[int, float]:
    """Return the usual oxidation states of an element with their frequencies."""
    # pymatgen loads the frequencies at its first guess.
    Composition('LiCl').oxi_state_guesses()
    counts = Composition.oxi_prob or {}
    element = Element(name)
    common = set(element.common_oxidation_states)
    states = sorted({*common, *element.icsd_oxidation_states}) or [0]
    found = {state: counts.get(Species(name, state), 0) for state in states}
    total = max(1, sum(found.values()))
    parts = {state: max(number / total, 1e-3) for state, number in found.items()}
    usual = {
        state: part
        for state, part in parts.items()
        if part >= RARE and (state in common or (element.is_metal and part >= USUAL))
    }
    return usual or parts


def substituent_charge(name: str, replaced: float) -> float:
    """Return the charge of an element on the site of another ion.

    It is that of the ion if this is a common state of the element, and otherwise its most frequent one of this sign:
    Sb on P has +5, and W on Sb has +6.

    :param name: chemical symbol.
    :param replaced: charge of the ion that it replaces.
    :raises ValueError: if the element has no usual state of this sign.
    """
    usual = {state: part for state, part in _usual_states(name).items() if state * replaced > 0}
    if not usual:
        raise ValueError(f'charges: {name} has no usual charge of the sign of {replaced:+g}: give its charge.')
    if replaced in Element(name).common_oxidation_states:
        return float(replaced)
    return float(max(usual, key=lambda state: (usual[state], -abs(state))))


def charges_of(structure: Structure, given: Mapping[str, float] | None, required: bool = True) -> dict[str, float]:
    """Return the charge of each element.

    :param structure: a crystal; its occupancies may be partial.
    :param given: charge of each element, None for the usual ones (:func:`guess_charges`). Zero for all is accepted.
    :param required: whether they have to balance; otherwise they are zero if they do not.
    :raises ValueError: if they do not balance within `BALANCE`, or those of some elements are missing.
    """
    amounts = structure.composition.get_el_amt_dict()
    if given is None:
        charges, total = guess_charges(structure.composition)
    else:
        if lacking := sorted(set(amounts) - set(given)):
            raise ValueError(f'order: the charge of {", ".join(lacking)} is missing: give those of all elements.')
        charges = {name: float(given[name]) for name in amounts}
        total = sum(charge * amounts[name] for name, charge in charges.items())
    positive = sum(charge * amounts[name] for name, charge in charges.items() if charge > 0)
    if not any(charges.values()) or (positive and abs(total) <= BALANCE * positive):
        return charges
    if not required:
        return dict.fromkeys(amounts, 0.0)
    raise ValueError(
        f'order: with {stated(charges)} the charges sum to {round(total, 2):+g} in the cell of the file: add missing '
        'atoms, correct the occupancies, or give the charges of all elements if others hold.'
    )


def stated(charges: Mapping[str, float]) -> str:
    """Return charges as text: `Li +1, S -2`."""
    return ', '.join(f'{name} {charge:+g}' for name, charge in charges.items())
