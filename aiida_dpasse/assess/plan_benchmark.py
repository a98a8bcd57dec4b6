"""Convert the parameters of a speed comparison into its cells and runs."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.benchmark_parameters import BenchmarkParameters
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.supercell import MAXIMUM_ATOMS, nearest_repetition, supercell_matrix

#: Input namespace of the potentials or calculators, by the kind of run.
PORTS = {'md': 'potentials', 'ase': 'calculators'}


@calcfunction
def plan_benchmark(
    parameters: orm.Dict, structure: orm.StructureData, **inputs: dict[str, Potential]
) -> dict[str, Any]:
    """Plan the cells and runs of a speed comparison.

    A run with a potential is of the kind ``md``, one with an ASE calculator of the kind ``ase``. Its ``size`` is an
    index into ``sizes`` of the ``table``, which also holds the ``timestep``. All runs start from the same velocities.
    The runs of one size follow each other, so that a temporary slowdown of the machine affects all potentials.

    :param parameters: content of :class:`BenchmarkParameters`.
    :param structure: unit cell.
    :param inputs: ``potentials`` and ``calculators`` by label.
    :return: ``runs`` in order of execution; ``supercell`` and ``md`` (the parameters of the dynamics) by the key of
        each size, such as ``s00``; and ``table``.
    """
    settings = BenchmarkParameters.model_validate(parameters.get_dict())
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
    """Return the key of a size.

    :param number: index of the size.

    >>> size_key(3)
    's03'
    """
    return f's{number:02d}'


def cells(structure: orm.StructureData, settings: BenchmarkParameters) -> list[dict[str, Any]]:
    """Return the cells of a speed comparison, sorted by their number of atoms.

    Requested numbers of atoms that lead to the same repetition are merged into one size.

    :param structure: unit cell.
    :param settings: parameters with the requested sizes.
    :return: ``supercell``, ``atoms`` and ``wanted_atoms`` of every size.
    :raises ValueError: if a size is invalid or too large.
    """
    cell = structure.get_pymatgen()
    asked: list[tuple[int | None, Any]] = [
        (wanted, nearest_repetition(cell, wanted)) for wanted in settings.atoms or []
    ]
    asked += [(None, supercell) for supercell in settings.supercells or []]
    sizes: dict[str, dict[str, Any]] = {}
    for wanted, supercell in asked:
        matrix = supercell_matrix(cell, supercell)
        atoms = len(cell) * round(float(np.linalg.det(matrix)))
        if atoms > MAXIMUM_ATOMS:
            raise ValueError(f'{wanted or supercell} gives {atoms} atoms, more than {MAXIMUM_ATOMS}')
        size = sizes.setdefault(
            str(matrix.tolist()), {'supercell': matrix.tolist(), 'atoms': atoms, 'wanted_atoms': []}
        )
        size['wanted_atoms'] += [] if wanted is None else [wanted]
    return sorted(sizes.values(), key=lambda size: size['atoms'])
