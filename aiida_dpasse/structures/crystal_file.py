"""Crystals from files: CIF by pymatgen, which knows partial occupancies, and everything else by ASE."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from pymatgen.core import Composition, Element, Structure
from pymatgen.io.cif import CifFile, CifParser

from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError, check_regular, reading, reason

#: Occupancies of a site whose sum is up to this are refinement errors, and are scaled to 1.
OCCUPANCY_SUM = 1.1
#: Size of the largest file in bytes.
LARGEST_FILE = 200 << 20
#: Positions closer than this, in fractional coordinates, are one site.
SITE_TOLERANCE = 1e-4
#: Relative difference between the formula that a CIF states and that of its atoms, above which it is reported.
FORMULA_TOLERANCE = 0.02


@dataclass(frozen=True)
class CrystalFile:
    """A crystal as a file describes it.

    :param structure: sites with elements and occupancies, without oxidation states.
    :param charges: mean oxidation state of each element, empty if the file has none.
    :param notes: what was changed or left out, one sentence each.
    """

    structure: Structure
    charges: dict[str, float]
    notes: tuple[str, ...]

    @property
    def charge(self) -> float | None:
        """Sum of the oxidation states in the cell, None if they are not known."""
        if not self.charges:
            return None
        return float(sum(self.charges[name] * n for name, n in self.structure.composition.get_el_amt_dict().items()))


def read_crystal(path: str | Path, index: int | None = None) -> CrystalFile:
    """Read a crystal from a file.

    :param path: CIF, POSCAR, extxyz, or any other format that ASE recognises by the file's name or content.
    :param index: number of the structure in a file with several, from 0; negative numbers count from the end.
    :raises UnreadableError: in one sentence, if the file contains no periodic crystal of known elements, or several and
        no index.
    """
    path = Path(path)
    check_regular(path)
    if path.stat().st_size > LARGEST_FILE:
        raise UnreadableError(f'{line(path.name)} is larger than {LARGEST_FILE >> 20} MB: give a file of one crystal.')
    with reading(path.name, 'give a file of a crystal that is whole'):
        if path.suffix.lower() in ('.cif', '.mcif'):
            return read_cif(path.read_text(encoding='utf8', errors='replace'), path.name, index)
        return _read_with_ase(path, index)


def read_cif(text: str, name: str = 'The CIF', index: int | None = None) -> CrystalFile:
    """Read a crystal from the text of a CIF, with its partial occupancies.

    :param text: content of the file.
    :param name: name of the file, for messages.
    :param index: number of the crystal in a file with several, from 0.
    :raises UnreadableError: in one sentence, if it contains no crystal, or several and no index, or if hydrogen or
        another element of its formula has no position.
    """
    name = line(name)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            data = CifFile.from_str(text).data
            blocks = {key: block.data for key, block in data.items() if '_atom_site_fract_x' in block.data}
        except Exception as error:  # pymatgen raises exceptions of any type for a broken file
            raise UnreadableError(f'{name} is not a readable CIF: {_reason(error)}: correct it.') from error
        if not blocks:
            raise UnreadableError(f'{name} contains no positions of atoms: give a CIF with `_atom_site_fract_x`.')
        key = _chosen(list(blocks), index, name, 'crystals')
        _check_symbols(blocks[key], name)
        try:
            parser = CifParser.from_str(
                text if len(blocks) == 1 else str(data[key]),
                occupancy_tolerance=OCCUPANCY_SUM,
                site_tolerance=SITE_TOLERANCE,
                check_cif=False,
            )
            found = parser.parse_structures(primitive=False, on_error='ignore')
        except Exception as error:
            said = next((text for text in parser.warnings if 'No structure parsed' in text), error)
            if total := re.search(r'Occupancy (\d{1,9}\.?\d{0,20}) exceeded', str(said)):
                raise UnreadableError(
                    f'{name} has a site whose occupancies sum to {float(total[1]):.4g}: correct them, or separate the '
                    'positions if they are different sites.'
                ) from error
            raise UnreadableError(f'{name} cannot be read: {_reason(said)}: correct it.') from error
    structure, block = found[0], blocks[key]
    if any('implicit hydrogens' in warning for warning in parser.warnings):
        raise UnreadableError(
            f'{name} attaches hydrogen to other atoms without positions: give a file with the positions of H.'
        )
    notes = _notes_of_occupancies(block, parser.warnings)
    return _finish(structure, name, [*notes, *_compare_formula(block, structure, name)])


def _check_symbols(block: dict[str, Any], name: str) -> None:
    """Check the symbols of the sites, of which pymatgen takes the letters that it knows: `Foo` becomes fluorine.

    :raises UnreadableError: for a symbol of more letters than an element has, except water.
    """
    for symbol in dict.fromkeys(np.atleast_1d(block.get('_atom_site_type_symbol', [])).tolist()):
        letters = re.match(r'[A-Za-z]*', str(symbol))
        if letters and len(letters[0]) > 2 and letters[0].lower() != 'wat':
            raise UnreadableError(f'{name} has sites of {line(symbol)[:40]}, which is no element: correct the symbols.')


def _notes_of_occupancies(block: dict[str, Any], messages: list[str]) -> list[str]:
    notes = []
    given = block.get('_atom_site_occupancy')
    if isinstance(given, list) and (unknown := [index for index, value in enumerate(given) if value in ('?', '.')]):
        labels = block.get('_atom_site_label', [])
        names = ', '.join(str(labels[index]) for index in unknown[:5])
        notes.append(f'the occupancy of {names} is not given and is taken as 1')
    if any('sum to > 1' in message for message in messages):
        notes.append('occupancies of a site that sum to slightly more than 1 are scaled to 1')
    notes += [f'the site {message}' for message in messages if ' parsed as ' in message]
    return notes


def _compare_formula(block: dict[str, Any], structure: Structure, name: str) -> list[str]:
    """Compare the formula that a CIF states with its atoms.

    :returns: a note if the amounts differ.
    :raises UnreadableError: if an element of the formula has no atom.
    """
    stated = block.get('_chemical_formula_sum')
    try:
        amounts = Composition(str(stated).replace("'", '')).get_el_amt_dict()
    except Exception:  # a formula in no known notation
        return []
    if stated in (None, '?', '.') or not amounts:
        return []
    atoms = structure.composition.get_el_amt_dict()
    if missing := sorted(set(amounts) - set(atoms)):
        raise UnreadableError(
            f'{name} states the formula {line(str(stated).strip())[:100]}, but contains no position of '
            f'{", ".join(missing)}: add the missing atoms.'
        )
    # The formula is of one unit: the amounts are compared after division by the mean ratio.
    ratios = {element: atoms[element] / amounts[element] for element in amounts}
    unit = float(np.median(list(ratios.values())))
    if any(abs(ratio / unit - 1) > FORMULA_TOLERANCE for ratio in ratios.values()) or set(atoms) != set(amounts):
        found = Composition({element: round(atoms[element] / unit, 3) for element in atoms}).formula
        return [f'the stated formula is {line(str(stated).strip())[:100]}, that of the atoms {found}']
    return []


def _read_with_ase(path: Path, index: int | None) -> CrystalFile:
    from ase.io import read

    name = line(path.name)

    try:
        if is_poscar(path):
            _check_counts(path)
        images = read(path, index=':', do_not_split_by_at_sign=True, **_ase_format(path))
    except UnreadableError:
        raise
    except Exception as error:  # the readers raise exceptions of any type for a broken file
        raise UnreadableError(f'{name} cannot be read: {_reason(error)}: give a crystal that is whole.') from error
    if not isinstance(images, list) or not images:
        raise UnreadableError(f'{name} contains no structure.')
    atoms = _chosen(images, index, name, 'structures')
    if not len(atoms):
        raise UnreadableError(f'{name} contains no atoms.')
    if atoms.cell.rank < 3 or not all(atoms.pbc):
        raise UnreadableError(
            f'{name} is not periodic in three directions: give a file with three lattice vectors and, in an '
            'extxyz, pbc="T T T".'
        )
    if 0 in atoms.numbers:
        raise UnreadableError(f'{name} contains atoms without an element (X): name their elements.')
    if any(len(values) > 1 for values in (atoms.info.get('occupancy') or {}).values()):
        raise UnreadableError(f'{name} has partial occupancies: give it as a CIF, whose sites can be ordered.')
    notes = []
    if len(images) > 1:
        notes.append(f'one of {len(images)} structures is taken')
    if atoms.calc is not None:
        notes.append(f'{", ".join(sorted(atoms.calc.results))} of the atoms are dropped: a structure has no labels')
    if dropped := sorted(set(atoms.arrays) & {'momenta', 'initial_magmoms', 'initial_charges'}):
        notes.append(f'{", ".join(dropped)} of the atoms are dropped')
    if atoms.constraints:
        notes.append('constraints of the atoms are dropped')
    structure = Structure(atoms.cell[:], atoms.get_chemical_symbols(), atoms.get_scaled_positions(wrap=False))
    return _finish(structure, name, notes)


def _check_counts(path: Path) -> None:
    """Check that a POSCAR has a line for each atom that it declares, before memory is taken for them.

    :raises UnreadableError: if it has not.
    """
    lines = path.read_text(encoding='utf8', errors='replace').splitlines()
    for row in lines[5:7]:
        words = row.split('!')[0].split()
        if words and all(re.fullmatch(r'\d+', word) for word in words):
            if any(len(word) > 9 for word in words) or sum(map(int, words)) > len(lines):
                raise UnreadableError(f'{line(path.name)} declares more atoms than it has lines: copy it again.')
            return


def _ase_format(path: Path) -> dict[str, Any]:
    """Return ASE's format for names of POSCAR files that ASE does not recognise."""
    return {'format': 'vasp'} if is_poscar(path) else {}


def is_poscar(path: Path) -> bool:
    """Return whether a file is a POSCAR by its name.

    :param path: the file.
    """
    name = path.name.lower()
    return name.startswith(('poscar', 'contcar')) or name.endswith('.vasp')


def _finish(structure: Structure, name: str, notes: list[str]) -> CrystalFile:
    """Return the crystal with elements only, and its oxidation states apart.

    :raises UnreadableError: for species that are no elements.
    """
    charges: dict[str, set[float]] = {}
    unknown = set()
    for species in structure.composition:
        # pymatgen gives deuterium the symbol H.
        symbol = getattr(species, 'symbol', str(species))
        if symbol not in atomic_numbers or not Element.is_valid_symbol(symbol):
            unknown.add(symbol)
        charges.setdefault(symbol, set()).add(getattr(species, 'oxi_state', None) or 0.0)
    if unknown:
        raise UnreadableError(
            f'{name} has sites of {line(", ".join(sorted(unknown)))[:200]}, which is no element: correct the symbols.'
        )
    names = [text for species in structure.composition for text in (str(species), str(getattr(species, 'name', '')))]
    if any(re.match(r'[DT](?![a-z])', text) for text in names):
        notes.append('deuterium becomes hydrogen')
    plain = []
    for site in structure:
        parts: Counter[str] = Counter()
        for species, occupancy in site.species.items():
            parts[species.symbol] += occupancy
        plain.append(dict(parts))
    known = all(len(states) == 1 for states in charges.values()) and any(states != {0.0} for states in charges.values())
    if not known and any(states != {0.0} for states in charges.values()):
        several = sorted(name for name, states in charges.items() if len(states) > 1)
        notes.append(f'{", ".join(several)} has several oxidation states in the file, which are not used')
    crystal = Structure(structure.lattice, plain, structure.frac_coords, labels=structure.labels)
    found = {symbol: float(next(iter(states))) for symbol, states in charges.items()} if known else {}
    return CrystalFile(crystal, found, tuple(notes))


def _chosen(items: list[Any], index: int | None, name: str, kind: str) -> Any:
    """Return the chosen one of the items of a file.

    :raises UnreadableError: if there are several and no index, or the index is out of range.
    """
    if index is None and len(items) > 1:
        raise UnreadableError(
            f'{name} contains {len(items)} {kind}: choose one by its index, from 0 to {len(items) - 1}, or import them '
            'as frames.'
        )
    number = index or 0
    if not -len(items) <= number < len(items):
        raise UnreadableError(f'{name} contains {len(items)} {kind}: the index {number} is out of range.')
    return items[number]


def _reason(error: Exception | str) -> str:
    """Return the message of an exception of a library in one line."""
    text = re.sub(r'No structure parsed for section \d+ in CIF\.', '', str(error))
    return reason(text if text != str(error) else error)
