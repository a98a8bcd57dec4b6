"""From the parameters of a comparison of speeds to its cells and runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.supercell import MAXIMUM_ATOMS, nearest_repetition, supercell_matrix


@calcfunction
def plan_speed(
    parameters: orm.Dict, structure: orm.StructureData, **potentials: DeepPotentialData
) -> dict[str, orm.Dict]:
    """Return ``supercell_<s>`` and ``md_<s>`` of every size, from the smallest on, and ``table``.

    ``table`` lists the ``runs`` in their order, each with its ``key`` ``run_<s>_<potential>``, and the ``timestep``.
    All potentials start from the same velocities, and follow each other at each size: what slows the machine down for
    a while slows down all.
    """
    given = parameters.get_dict()
    sizes = cells(structure, given)
    plan: dict[str, Any] = {
        'table': {
            'runs': [
                {'key': f'run_{index:02d}_{label}', 'potential': label, **size}
                for index, size in enumerate(sizes)
                for label in sorted(potentials)
            ],
            'timestep': given['timestep'],
        }
    }
    for index, size in enumerate(sizes):
        plan[f'supercell_{index:02d}'] = {'supercell': size['supercell']}
        plan[f'md_{index:02d}'] = dynamics(given, derive_seed(given['seed'], 'md', index))
    return {key: orm.Dict(value) for key, value in plan.items()}


def cells(structure: orm.StructureData, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return ``supercell``, ``atoms`` and ``wanted_atoms`` of every size, from the smallest on.

    Wanted numbers that the same repetition is nearest to are one size.

    :param given: ``atoms`` or ``supercells``, see `SpeedParameters`.
    :raises ValueError: for a size that makes no sense, or is too large.
    """
    cell = structure.get_pymatgen()
    # Repetitions tell more than a matrix, and than the distance that was asked for.
    asked = [(wanted, nearest_repetition(cell, wanted)) for wanted in given.get('atoms') or []]
    asked += [(None, supercell) for supercell in given.get('supercells') or []]
    sizes: dict[str, dict[str, Any]] = {}
    for wanted, supercell in asked:
        matrix = supercell_matrix(cell, supercell)
        atoms = len(cell) * round(float(np.linalg.det(matrix)))
        if atoms > MAXIMUM_ATOMS:
            raise ValueError(f'{wanted or supercell} makes {atoms} atoms: ask for at most {MAXIMUM_ATOMS}')
        size = sizes.setdefault(
            str(matrix.tolist()), {'supercell': matrix.tolist(), 'atoms': atoms, 'wanted_atoms': []}
        )
        size['wanted_atoms'] += [] if wanted is None else [wanted]
    return sorted(sizes.values(), key=lambda size: size['atoms'])


def dynamics(given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the parameters of `dpasse.md` of one size: nothing is written while the clock runs."""
    total = given['warm_up_steps'] + given['steps']
    ensemble = given['ensemble']
    return {
        **{name: given[name] for name in ('ensemble', 'temperature', 'timestep', 'steps')},
        'equilibration': {'ensemble': 'npt' if ensemble == 'npt' else 'nvt', 'steps': given['warm_up_steps']},
        'thermo_interval': total,
        'restart_interval': 2 * total,
        'seed': seed,
    }
