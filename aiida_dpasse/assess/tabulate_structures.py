"""Crystals as potentials relax them: their lattices, and whether they decompose into each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.tabulate_validation import NOTHING
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.labels.records import FAILED, REJECTED
from aiida_dpasse.runs import Runs
from aiida_dpasse.structures.stability import decomposition_energies, lattice_of


@calcfunction
def tabulate_structures(
    settings: orm.Dict, runs: orm.Dict, crystals: FramesData, **inputs: dict[str, orm.Data]
) -> orm.Dict:
    """Return ``rows``, one for each potential and structure.

    Each has the ``potential`` and the rest of the record of its relaxation, ``structure``, ``formula``, ``relaxed``
    and, if it is not, the ``reason``; else
    ``lengths_A``, ``angles_degree`` and ``volume_A3_atom``, those of the structure as it was given as ``given_...``,
    ``length_change_percent``, the change of each length, ``volume_change_percent``, ``energy_eV_atom``, and
    ``decomposition_meV_atom``, the energy above the best mixture of the other structures that this potential relaxed,
    with ``decomposes_to``, None if they cannot make it up, and ``given_decomposition_meV_atom`` where it was given.

    :param settings: ``decomposition``, reference values by structure.
    :param runs: the record of each run, by its id.
    :param crystals: the structures, whose sources are their labels.
    :param inputs: by run ``frames`` and ``accounts`` of the labelling that relaxed them.
    """
    rows = []
    for run in Runs.from_dict(runs.get_dict()).select(what='relax'):
        relaxed: dict[str, tuple[Any, int]] = {}
        node = inputs.get('frames', {}).get(run.id)
        for item in node.sets() if isinstance(node, FramesData) else []:
            relaxed |= {str(source): (item, frame) for frame, source in enumerate(item.sources)}
        account = inputs.get('accounts', {}).get(run.id)
        told = account.get_dict() if account is not None else {}
        reasons = {entry['id']: entry['reason'] for state in (REJECTED, FAILED) for entry in told.get(state, [])}
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
    before, after = lattice_of(given), lattice_of(found)
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
