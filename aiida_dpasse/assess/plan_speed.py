"""From the parameters of a comparison of speeds to its cells and runs."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.speed_parameters import SpeedParameters
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.supercell import MAXIMUM_ATOMS, nearest_repetition, supercell_matrix

#: Namespaces of what is timed, by the kind of run.
PORTS = {'md': 'potentials', 'ase': 'calculators'}


@calcfunction
def plan_speed(
    parameters: orm.Dict, structure: orm.StructureData, **inputs: dict[str, DeepPotentialData]
) -> dict[str, Any]:
    """Return ``runs``, in their order; by the number of each size, as ``s00``, its ``supercell`` and the parameters of
    its dynamics, ``md``; and ``table``.

    A run with a potential is called ``md``, one with an ASE calculator ``ase``; its ``size`` is the number of its size
    among ``sizes`` of the ``table``, which holds the ``timestep`` too. All start from the same velocities, and follow
    each other at each size: what slows the machine down for a while slows down all.

    :param inputs: ``potentials`` and ``calculators`` by label.
    """
    settings = SpeedParameters.model_validate(parameters.get_dict())
    sizes = cells(structure, settings)
    labels = [(what, label) for what, port in PORTS.items() for label in sorted(inputs.get(port, {}))]
    runs = Runs(
        Run(what, number, potential=label, size=size)
        for number, (size, (what, label)) in enumerate(product(range(len(sizes)), labels))
    )
    seeds = [derive_seed(settings.seed, 'md', number) for number in range(len(sizes))]
    return {
        'runs': orm.Dict(runs.to_dict()),
        'table': orm.Dict({'sizes': sizes, 'timestep': settings.timestep}),
        'supercell': {size_key(n): orm.Dict({'supercell': size['supercell']}) for n, size in enumerate(sizes)},
        'md': {size_key(n): orm.Dict(settings.dynamics(seed)) for n, seed in enumerate(seeds)},
    }


def size_key(number: Any) -> str:
    """Return the key of the size of that number.

    >>> size_key(3)
    's03'
    """
    return f's{number:02d}'


def cells(structure: orm.StructureData, settings: SpeedParameters) -> list[dict[str, Any]]:
    """Return ``supercell``, ``atoms`` and ``wanted_atoms`` of every size, from the smallest on.

    Wanted numbers that the same repetition is nearest to are one size.

    :raises ValueError: for a size that makes no sense, or is too large.
    """
    cell = structure.get_pymatgen()
    # Repetitions tell more than a matrix, and than the distance that was asked for.
    asked: list[tuple[int | None, Any]] = [
        (wanted, nearest_repetition(cell, wanted)) for wanted in settings.atoms or []
    ]
    asked += [(None, supercell) for supercell in settings.supercells or []]
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
