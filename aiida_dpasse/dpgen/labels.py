"""Convert DP-GEN's labelling: the program, its settings, and the tolerated fraction of failures."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida_dpasse.dpgen.cp2k import cp2k_parameters
from aiida_dpasse.dpgen.keys import LARGEST_FILE, Keys, Ledger, listed, mapping, number, read_text, shortened
from aiida_dpasse.unreadable import UnreadableError
from aiida_dpasse.vasp.incar import BY_ELEMENT, MAGMOM, NELECT, NONCOLLINEAR, OURS

INCAR = 'label.vasp.incar'
#: Tags that labelling writes itself, and the values that are equivalent.
_SAME = {'NSW': (0,), 'IBRION': (-1,), 'ISIF': (2,)}
#: Tags whose value may be a single letter that is not a truth value.
_NAMES = ('ALGO', 'PREC', 'GGA', 'METAGGA', 'SYSTEM')
#: VASP's defaults of the tags that the protocols set, used for tags missing from an INCAR. Null leaves the choice to
#: VASP: functional and cutoff are those of the POTCAR.
OF_VASP: dict[str, Any] = {
    'GGA': None,
    'ENCUT': None,
    'PREC': 'Normal',
    'EDIFF': 1.0e-4,
    'NELM': 60,
    'ALGO': 'Normal',
    'ISMEAR': 1,
    'SIGMA': 0.2,
    'LREAL': False,
    'LASPH': False,
    'ISYM': None,
}
#: Largest POTCAR in bytes, and most atoms whose moments an INCAR lists.
LARGEST_POTCAR, MOST_ATOMS = 2**25, 10**6
_TRUTH = {'T': True, 'F': False, 'TRUE': True, 'FALSE': False}
_TITEL = re.compile(r'TITEL\s*=\s*\S+\s+(\S+)')
_NEEDED = 'the POTCARs were not read: name that of each element in `label.vasp.potential_mapping`'
_UPLOAD = 'upload the POTCARs (`aiida-vasp potcar uploadfamily`) and name the family in `label.vasp.potential_family`'
_LABELLER = (
    "give an ASE calculator (`'calculator': {'name': ...}` in INPUTS), or your own program (`'shell'` in CODES)."
)
_NO_CP2K = "The CP2K input is a file that is not read: give its settings as `OVERRIDES['label']['cp2k']`."
#: Keys of labelling programs that are supported by DP-GEN but not here.
OF_PROGRAMS = (
    'fp_params',
    'user_fp_params',
    'fp_pp_path',
    'fp_pp_files',
    'fp_orb_files',
    'fp_incar',
    'fp_kpt_file',
    'fp_dpks_descriptor',
    'k_points',
    'external_input_path',
    'high_level',
)


def read_labels(
    keys: Keys,
    folder: Path,
    type_map: Sequence[str],
    compositions: Callable[[], Sequence[Mapping[str, int]]] = tuple,
) -> tuple[str | None, dict[str, Any], dict[str, str]]:
    """Return the labelling program, the parameters of `label`, and what is left to be given.

    :param keys: keys of param.json.
    :param folder: folder that relative paths refer to.
    :param type_map: elements in DP-GEN's order.
    :param compositions: function that returns the numbers of atoms by element of the structures that are here.
    :return: `vasp`, `cp2k` or None for any other program; the parameters; and one sentence by the place of each setting
        without which the labels would not be those of DP-GEN.
    :raises UnreadableError: if a value is not accepted by DP-GEN.
    """
    parameters: dict[str, Any] = {}
    if 'ratio_failed' in keys:
        ratio = number(keys.take('ratio_failed', 'label.minimum_success'), 'ratio_failed')
        if not 0 <= ratio <= 1:
            raise UnreadableError(f'`ratio_failed` should be between 0 and 1, got {ratio}.')
        parameters['minimum_success'] = 1 - ratio
    style = keys.need('fp_style', 'codes')
    if style == 'vasp':
        parameters['vasp'], doubtful = _vasp(keys, folder, type_map, compositions)
        return 'vasp', parameters, {**_missing(parameters['vasp']), **doubtful}
    if style == 'cp2k':
        parameters |= cp2k_parameters(keys)
        return 'cp2k', parameters, {} if 'cp2k' in parameters else {'label.cp2k': _NO_CP2K}
    why = 'hand in an ASE calculator (`calculator`) or a program of your own (code `shell`) that labels'
    for name in ('fp_style', *OF_PROGRAMS):
        keys.leave(name, why)
    return None, parameters, {'calculator': f'`fp_style` is {shortened(style)}, which has no counterpart: {_LABELLER}'}


def _missing(vasp: Mapping[str, Any]) -> dict[str, str]:
    """Return what is left to be given for VASP."""
    needed = {
        'incar': 'The INCAR was not here: give its tags as {}.',
        'kpoints': "Give the k-points as {}, such as {{'spacing': 0.3}}.",
        'potential_mapping': 'The POTCARs were not here: name that of each element in {}.',
        'potential_family': 'Give the POTCAR family as {}, by its name in AiiDA.',
    }
    return {
        f'label.vasp.{name}': text.format(f"`OVERRIDES['label']['vasp']['{name}']`")
        for name, text in needed.items()
        if name not in vasp
    }


def _vasp(
    keys: Keys, folder: Path, type_map: Sequence[str], compositions: Callable[[], Sequence[Mapping[str, int]]]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return VASP's parameters, and a sentence by place for each tag of single elements that is lost or guessed."""
    parameters: dict[str, Any] = {}
    doubtful: dict[str, str] = {}
    if (found := _tags(keys, folder)) is not None:
        name, given = found
        if (spacing := given.pop('KSPACING', None)) is not None:
            value = number(spacing, f'{name}.KSPACING', above=0)
            parameters['kpoints'] = {'spacing': value, 'mesh': None}
        if given.pop('KGAMMA', True) is False:
            keys.ledger.leave(f'{name}.KGAMMA', False, 'meshes are centred at Gamma')
        kept = electrons(given, name, keys.ledger)
        cells = compositions() if MAGMOM in kept else ()
        tags = by_element(kept, name, type_map, cells, keys.ledger)
        parameters['incar'] = {**OF_VASP, **tags}
        told = {entry.key for entry in keys.ledger.unmatched}
        # Without its numbers VASP would take others: U = 1 eV on every element, a moment of 1 on every atom.
        for tag in [tag for tag in BY_ELEMENT if f'{name}.{tag}' in told]:
            verb = f'Check {tag}' if tag in tags else f'Give {tag} by element'
            doubtful[f'{INCAR}.{tag}'] = f"{verb} in `OVERRIDES['label']['vasp']['incar']`, as {{'Fe': 4.0}}."
    keys.leave('fp_aniso_kspacing', 'k-points are equally dense in all directions: set `label.vasp.kpoints.mesh`')
    keys.leave('cvasp', "the handlers of aiida-vasp do what Custodian's do", (False,))
    keys.leave('fp_nbands_esti_data', 'VASP chooses the number of bands: set NBANDS in `label.vasp.incar`')
    if mapping := potcar_names(keys, folder):
        parameters['potential_mapping'] = mapping
    return parameters, doubtful


def _tags(keys: Keys, folder: Path) -> tuple[str, dict[str, Any]] | None:
    """Return the INCAR tags in capitals and the key that they come from; DP-GEN uses the first of these keys that
    exists.
    """
    if 'fp_incar' in keys:
        for name in ('user_fp_params', 'fp_params'):
            keys.leave(name, 'DP-GEN takes `fp_incar` instead')
        path = folder / str(keys.take('fp_incar', INCAR))
        if os.path.isfile(path):
            return 'fp_incar', parse_incar(read_text(path, LARGEST_FILE))
        keys.leave('fp_incar', "the file is not there, and the protocol's tags stay: give yours in `label.vasp.incar`")
        return None
    if 'user_fp_params' in keys:
        keys.leave('fp_params', 'DP-GEN takes `user_fp_params` instead')
        given = Keys(keys.take('user_fp_params', INCAR), keys.ledger, 'user_fp_params.').content
        return 'user_fp_params', {tag.upper(): value for tag, value in given.items()}
    return 'fp_params', old_incar(Keys(keys.need('fp_params', INCAR), keys.ledger, 'fp_params.'))


def parse_incar(text: str) -> dict[str, Any]:
    """Return the tags of an INCAR file, with names in capitals.

    :param text: content of the file.
    :return: truth values, numbers, lists of numbers, or text, by tag.
    """
    tags = {}
    for line in text.splitlines():
        for part in re.split('[#!]', line)[0].split(';'):
            tag, sign, value = part.partition('=')
            if sign:
                tags[tag.strip().upper()] = _parsed(tag.strip().upper(), value.strip())
    return tags


def _parsed(tag: str, text: str) -> Any:
    if tag in _NAMES:
        return text
    if (letters := text.upper().strip('.')) in _TRUTH:
        return _TRUTH[letters]
    try:
        numbers = [_number(word) for word in text.split()]
    except ValueError:
        return text
    return numbers[0] if len(numbers) == 1 else numbers


def _number(word: str) -> float:
    return int(word) if re.fullmatch(r'[+-]?\d+', word) else float(word.upper().replace('D', 'E'))


def electrons(tags: Mapping[str, Any], name: str, ledger: Ledger) -> dict[str, Any]:
    """Return the tags of the electronic structure.

    Tags of the ionic motion are written by the labelling, and the title has no effect.

    :param tags: all tags.
    :param name: key that they come from, for the ledger.
    :param ledger: record of the tags that are left out.
    """
    kept = {}
    for tag, value in tags.items():
        if tag in OURS:
            if value not in _SAME.get(tag, ()):
                ledger.leave(f'{name}.{tag}', value, 'labelling writes it: the frame is computed as it is')
        elif tag == 'SYSTEM':
            ledger.leave(f'{name}.{tag}', value, 'it is a title')
        else:
            kept[tag] = value
    return kept


def by_element(
    tags: Mapping[str, Any],
    name: str,
    type_map: Sequence[str],
    compositions: Sequence[Mapping[str, int]],
    ledger: Ledger,
) -> dict[str, Any]:
    """Return the tags with those of single elements or atoms by element.

    DP-GEN writes the atoms of a frame in the order of ``type_map``, and the lists of an INCAR follow it.

    :param tags: tags in capitals.
    :param name: key that they come from, for the ledger.
    :param type_map: elements in DP-GEN's order.
    :param compositions: number of atoms of each element in the structures, if they are known.
    :param ledger: record of the tags that are left out.
    """
    kept = dict(tags)
    for tag in [tag for tag in tags if tag in BY_ELEMENT]:
        value = kept.pop(tag)
        if isinstance(value, Mapping):
            kept[tag] = dict(value)
            continue
        runs = _runs(value)
        if tag == NELECT:
            ledger.leave(f'{name}.{tag}', value, 'cells differ: give the electrons of an atom of each element')
        elif tag == MAGMOM:
            moments = None if any(tags.get(other) for other in NONCOLLINEAR) else _moments(runs, type_map, compositions)
            if moments is None:
                ledger.leave(f'{name}.{tag}', value, 'it fits no order of the atoms: give the moment by element')
            else:
                kept[tag] = moments
                if not compositions and len(set(moments.values())) > 1:
                    why = 'no structure is here: it was read as one group of atoms for each element of `type_map`'
                    ledger.leave(f'{name}.{tag}', value, why)
        elif len(numbers := [number for count, number in runs for _ in range(count)]) == len(type_map):
            kept[tag] = dict(zip(type_map, numbers, strict=True))
        else:
            why = f'it should have one value for each of the {len(type_map)} elements of `type_map`: give it by element'
            ledger.leave(f'{name}.{tag}', value, why)
    return kept


def _runs(value: Any) -> list[tuple[int, float]]:
    """Return the numbers of a tag and how often each is repeated, as in `4*0.6`; empty if they are no numbers."""
    words = value.split() if isinstance(value, str) else value if isinstance(value, list) else [value]
    runs: list[tuple[int, float]] = []
    for word in words:
        count, star, number = str(word).rpartition('*')
        try:
            runs.append((int(count) if star else 1, _number(number)))
        except ValueError:
            return []
        if sum(count for count, _ in runs) > MOST_ATOMS or not math.isfinite(runs[-1][1]):
            return []
    return runs


def _moments(
    runs: Sequence[tuple[int, float]], type_map: Sequence[str], compositions: Sequence[Mapping[str, int]]
) -> dict[str, float] | None:
    """Return the moment of each element, or None if atoms of an element differ or the order is not known."""
    flat = [number for count, number in runs for _ in range(count)]
    if len(set(flat)) == 1:
        return dict.fromkeys(type_map, flat[0])
    if not compositions:
        numbers = [number for _, number in runs]
        return dict(zip(type_map, numbers, strict=True)) if len(runs) == len(type_map) else None
    found: dict[str, float] = {}
    for composition in compositions:
        symbols = [element for element in type_map for _ in range(composition.get(element, 0))]
        if len(symbols) != len(flat):
            return None
        for element, moment in zip(symbols, flat, strict=True):
            if found.setdefault(element, moment) != moment:
                return None
    return found


def old_incar(keys: Keys) -> dict[str, Any]:
    """Return the tags that DP-GEN derives from the settings of `fp_params`.

    :param keys: keys of `fp_params`.
    :raises UnreadableError: if a key is missing, or the smearing is unknown.
    """
    tags: dict[str, Any] = {'PREC': 'A', 'ISYM': 0, 'ALGO': 'fast', 'LREAL': 'A', 'NELMIN': 4}
    tags |= {'LWAVE': False, 'LCHARG': False}
    for name, tag in (('ecut', 'ENCUT'), ('ediff', 'EDIFF'), ('npar', 'NPAR'), ('kpar', 'KPAR')):
        tags[tag] = keys.need(name, f'{INCAR}.{tag}')
    tags['KSPACING'] = keys.need('kspacing', 'label.vasp.kpoints.spacing')
    kind, _, order = str(keys.take('smearing', f'{INCAR}.ISMEAR', '')).lower().partition(':')
    if kind and kind not in ('mp', 'gauss', 'fd'):
        raise UnreadableError(f'`fp_params.smearing` should be gauss, mp:N or fd, got {shortened(kind)}.')
    if kind:
        tags['ISMEAR'] = {'gauss': 0, 'fd': -1}.get(kind, int(order) if order.isdigit() else 1)
    if 'sigma' in keys:
        tags['SIGMA'] = keys.take('sigma', f'{INCAR}.SIGMA')
    if (metagga := keys.take('metagga', f'{INCAR}.METAGGA')) not in (None, 'NONE'):
        tags |= {'METAGGA': metagga, 'LASPH': True}
    own = keys.take('user_vasp_params', INCAR, {})
    keys.leave_rest()
    own = mapping(own, 'fp_params.user_vasp_params')
    return {**tags, **{tag.upper(): value for tag, value in own.items()}}


def potcar_names(keys: Keys, folder: Path) -> dict[str, str]:
    """Return the POTCAR name of each element, such as `Li_sv`, read from the files.

    :param keys: keys of param.json.
    :param folder: folder that relative paths refer to.
    :return: names by element; empty if a file is missing.
    """
    place = folder / str(keys.take('fp_pp_path', 'label.vasp.potential_family', ''))
    names = listed(keys.take('fp_pp_files', 'label.vasp.potential_mapping', []), 'fp_pp_files')
    keys.leave('fp_pp_path', _UPLOAD)
    files = [place / str(name) for name in names]
    if not all(map(os.path.isfile, files)):
        keys.leave('fp_pp_files', _NEEDED)
        return {}
    titles = [title for file in files for title in _TITEL.findall(read_text(file, LARGEST_POTCAR))]
    if not titles:
        keys.leave('fp_pp_files', _NEEDED)
    return {title.split('_')[0]: title for title in titles}
