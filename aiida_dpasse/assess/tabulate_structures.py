"""Lattices and decomposition energies of crystals relaxed with potentials."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction
from pymatgen.core import Lattice

from aiida_dpasse.assess.tabulate_validation import NOTHING
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.labels.records import FAILED, REJECTED
from aiida_dpasse.runs import Runs
from aiida_dpasse.structures.stability import decomposition_energies


@calcfunction
def tabulate_structures(
    settings: orm.Dict, runs: orm.Dict, crystals: FramesData, **inputs: dict[str, orm.Data]
) -> orm.Dict:
    """Tabulate the relaxed structures, one row for each potential and structure.

    :param settings: ``decomposition``, the reference values by structure in meV/atom.
    :param runs: record of each run, by its id.
    :param crystals: the input structures; their sources are their labels.
    :param inputs: ``frames`` and ``accounts`` of the relaxations, by run.
    :return: ``rows``.

    A row holds the record of its relaxation, ``potential`` included, ``structure``, ``formula`` and ``relaxed``. If the
    relaxation failed it also holds the ``reason``; otherwise ``lengths_A``, ``angles_degree`` and ``volume_A3_atom``,
    the same quantities of the input structure with the prefix ``given_``, ``length_change_percent`` for each length,
    ``volume_change_percent``, ``energy_eV_atom`` and ``decomposition_meV_atom``. The last is the energy above the best
    mixture of the other structures relaxed with the same potential, ``decomposes_to``; both are None if these
    structures cannot form the composition. ``given_decomposition_meV_atom`` is the reference value, if there is one.
    """
    rows = []
    for run in Runs.from_dict(runs.get_dict()).select(what='relax'):
        relaxed: dict[str, tuple[Any, int]] = {}
        node = inputs.get('frames', {}).get(run.id)
        for item in node.sets() if isinstance(node, FramesData) else []:
            relaxed |= {str(source): (item, frame) for frame, source in enumerate(item.sources)}
        account = inputs.get('accounts', {}).get(run.id)
        lost = account.get_dict() if account is not None else {}
        reasons = {entry['id']: entry['reason'] for state in (REJECTED, FAILED) for entry in lost.get(state, [])}
        stable = decomposition_energies(
            {name: item.symbols for name, (item, _) in relaxed.items()},
            {name: float(item.energies[frame]) for name, (item, frame) in relaxed.items()},
        )
        for given in crystals.sets():
            for frame, source in enumerate(given.sources):
                name = str(source)
                row: dict[str, Any] = {**run.to_dict(), 'structure': name, 'formula': given.formula}
                if name in relaxed:
                    item, place = relaxed[name]
                    row |= {'relaxed': True, **_compare(given.cells[frame], item.cells[place], item.natoms)}
                    row |= {'energy_eV_atom': float(item.energies[place]) / item.natoms}
                    row |= _decomposition(stable[name], settings['decomposition'].get(name))
                else:
                    row |= {'relaxed': False, 'reason': reasons.get(str(given.ids[frame]), NOTHING)}
                rows.append(row)
    return orm.Dict({'rows': rows})


def _compare(given: np.ndarray, found: np.ndarray, natoms: int) -> dict[str, Any]:
    before, after = Lattice(given), Lattice(found)
    changes = [100 * (new / old - 1) for old, new in zip(before.lengths, after.lengths, strict=True)]
    return {
        'lengths_A': list(after.lengths),
        'angles_degree': list(after.angles),
        'volume_A3_atom': after.volume / natoms,
        'given_lengths_A': list(before.lengths),
        'given_angles_degree': list(before.angles),
        'given_volume_A3_atom': before.volume / natoms,
        'length_change_percent': changes,
        'volume_change_percent': 100 * (after.volume / before.volume - 1),
    }


def _decomposition(found: tuple[float, dict[str, float]] | None, given: float | None) -> dict[str, Any]:
    energy, mixture = (None, None) if found is None else (1000 * found[0], found[1])
    return {
        'decomposition_meV_atom': energy,
        'decomposes_to': mixture,
        'given_decomposition_meV_atom': given,
    }
