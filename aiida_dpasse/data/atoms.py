"""Frames from ASE atoms: labels by the keys under which files hold them, and an account of all other keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.deepmd.dataset import ORIGIN_NAMES
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate, real_numbers
from aiida_dpasse.deepmd.intake import Intake
from aiida_dpasse.quoting import line as quoted
from aiida_dpasse.unreadable import UnreadableError

if TYPE_CHECKING:
    import ase

#: Names of each label in files, in the order in which they are looked for.
KEYS = {
    'energy': ('energy',),
    'forces': ('forces', 'force'),
    'virial': ('virial', 'virials'),
    'stress': ('stress',),
}
#: Names without content of their own.
EMPTY = {'numbers', 'positions', 'pbc', 'unique_id', 'occupancy'}
#: What calculators of ASE compute on the way to the labels; in a file somebody has kept it.
BY_PRODUCTS = {'energies', 'stresses'}
#: Units of GAP's files that are those of a frame, without capitals; the others are not.
UNITS = {
    'energy-unit': ('ev',),
    'force-unit': ('ev/angstrom', 'ev/angstroms', 'ev/ang', 'ev/a', 'ev/å'),
    'virial-unit': ('ev',),
    'stress-unit': ('ev/angstrom^3', 'ev/angstrom3', 'ev/ang^3', 'ev/a^3', 'ev/å^3'),
}
#: Longest source or reason of a frame.
LONGEST_TEXT = 1000
#: Relative difference between virial and stress up to which they are the same.
SAME = 1e-3


def check_keys(keys: Mapping[str, str]) -> None:
    """Check that ``keys`` names labels only.

    :raises UnreadableError: if it does not.
    """
    if unknown := [name for name in keys if name not in KEYS]:
        raise UnreadableError(f'`keys` has no `{unknown[0]}`: it names {", ".join(KEYS)}.')


def sets_from_atoms(
    images: Iterable[ase.Atoms], intake: Intake, keys: Mapping[str, str] | None = None, where: str = 'atoms'
) -> list[FrameSet]:
    """Return frames from ASE atoms.

    Labels are looked for in the results of the calculator, in ``info`` and in ``arrays``: energy in eV, forces in eV/A,
    stress in eV/A^3 with the sign of ASE, virial in eV, which is minus the stress times the volume.

    :param images: the atoms.
    :param intake: account of what is dropped, changed or refused.
    :param keys: name of ``energy``, ``forces``, ``virial`` or ``stress`` in the file. If given, labels without a name
        here are not read.
    :param where: name of the file.
    :returns: one set for each formula and kind of labels.
    :raises UnreadableError: if ``keys`` names no label, or one that no frame has, or if a label has the wrong shape.
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    check_keys(keys or {})
    names = KEYS if keys is None else {label: (keys[label],) if label in keys else () for label in KEYS}
    groups: dict[tuple[Any, ...], dict[str, list[Any]]] = {}
    seen: set[str] = set()
    for image in images:
        if not all(image.pbc) and intake.is_open(where, 1):
            continue
        if _partial(image.info.get('occupancy')):
            advice = '`aiida-dpasse import structure` makes ordered cells'
            intake.refuse('partial occupancies', advice, where, 1)
            continue
        if unit := _other_unit(image.info):
            intake.refuse(
                f'labels in other units ({unit})', 'the format quip/gap/xyz of dpdata converts them', where, 1
            )
            continue
        results = {} if image.calc is None else image.calc.results
        values = {**image.arrays, **image.info, **results}
        seen |= set(values) - EMPTY
        found = {label: next((name for name in names[label] if name in values), None) for label in KEYS}
        labels = _labels(image, {label: values[name] for label, name in found.items() if name is not None}, where)
        if _contradict(labels):
            advice = '`keys` chooses one of them, as virial=virial or stress=stress'
            intake.refuse('virial and stress that contradict each other', advice, where, 1)
            continue
        if 'energy' not in labels and labels:
            advice = '`keys` names the energy, as energy=REF_energy'
            intake.refuse('forces, virial or stress without energy', advice, where, 1)
            continue
        rest = set(values) - set(found.values()) - set(ORIGIN_NAMES.values()) - set(UNITS) - EMPTY
        if 'energy' in labels and np.allclose(
            values.get('free_energy', np.nan), labels['energy'], rtol=1e-12, atol=1e-9
        ):
            rest.discard('free_energy')
        if image.calc is not None and not isinstance(image.calc, SinglePointCalculator):
            rest -= BY_PRODUCTS
        for name in sorted(name for name in rest if not _zero(values[name])):
            intake.drop(f'`{quoted(name)[:60]}`', where, 1)
        if image.constraints:
            intake.drop('constraints', where, 1)
        arrays = {
            'cells': np.asarray(image.cell),
            'positions': image.positions,
            'energies': labels.get('energy'),
            'forces': labels.get('forces'),
            'virials': labels.get('virial', labels.get('stress')),
            **{field: _origin(name, values.get(name)) for field, name in ORIGIN_NAMES.items()},
        }
        symbols = tuple(image.get_chemical_symbols())
        group = groups.setdefault((symbols, *(name for name, value in arrays.items() if value is not None)), {})
        for name, value in arrays.items():
            if value is not None:
                group.setdefault(name, []).append(value)
    if seen and (absent := [name for name in (keys or {}).values() if name not in seen]):
        raise UnreadableError(
            f'No frame of `{where}` has `{quoted(absent[0])}`: there are {quoted(", ".join(sorted(seen)))[:300]}.'
        )
    return concatenate(
        item for (symbols, *_), arrays in groups.items() for item in intake.take(where, symbols, **arrays)
    )


def _labels(image: ase.Atoms, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the labels in the units of a frame set; the stress as virial.

    :raises UnreadableError: if a label has the wrong shape.
    """
    labels: dict[str, Any] = {}
    for label, value in values.items():
        array = real_numbers(value, f'{label} of a frame in {where}')
        if label == 'energy' and array.size == 1:
            labels[label] = float(array.reshape(()))
        elif label == 'forces' and array.shape == (len(image), 3):
            labels[label] = array
        elif label in ('virial', 'stress') and array.size in (6, 9):
            matrix = _matrix(array)
            labels[label] = matrix if label == 'virial' else -matrix * image.get_volume()
        else:
            raise UnreadableError(
                f'The {label} of a frame in `{where}` has the shape {array.shape} for {len(image)} atoms: correct it.'
            )
    return labels


def _matrix(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a tensor (3, 3) from six components (xx yy zz yz xz xy) or nine, of which extxyz writes the columns."""
    if values.size == 6:
        xx, yy, zz, yz, xz, xy = values.reshape(6)
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return values if values.shape == (3, 3) else values.reshape(3, 3, order='F')


def _contradict(labels: Mapping[str, Any]) -> bool:
    """Return whether virial and stress are both there and not the same."""
    if not {'virial', 'stress'} <= set(labels):
        return False
    virial = (labels['virial'] + labels['virial'].T) / 2
    return bool(np.abs(virial - labels['stress']).max() > SAME * max(np.abs(virial).max(), SAME))


def _zero(value: Any) -> bool:
    """Return whether all numbers of an entry are zero, as the magnetic moments of a calculation without spin."""
    return np.asarray(value).dtype.kind in 'iuf' and not np.any(value)


def _other_unit(info: Mapping[str, Any]) -> str | None:
    """Return the first unit of a file that is not that of a frame, or None."""
    given = ((name, str(info[name])) for name in UNITS if name in info)
    return next((f'{name} {quoted(unit)[:60]}' for name, unit in given if unit.lower() not in UNITS[name]), None)


def _partial(occupancy: Any) -> bool:
    """Return whether the occupancies that ASE reads from a CIF are partial."""
    if not isinstance(occupancy, Mapping):
        return False
    return any(len(site) > 1 or abs(sum(site.values()) - 1) > SAME for site in occupancy.values())


def _origin(name: str, value: Any) -> Any:
    """Return a part of the origin of a frame; a missing one gets the default of frame sets."""
    if name in ('source', 'reason'):
        return '' if value is None else str(value)[:LONGEST_TEXT]
    if name == 'step':
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        return int(value) if whole and abs(value) < 2**62 else -1
    return float(value) if isinstance(value, float | np.floating) else np.nan
