"""Turn the parameters of a locality test into the atoms that are held, the runs and the labelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.functions.make_supercell import supercell_of
from aiida_dpasse.landscape.locality import held_atoms, smallest_image_distance
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_locality(parameters: orm.Dict, structure: orm.StructureData) -> dict[str, orm.Dict]:
    """Return ``supercell``; ``md_<d>_<c>``, the run of each distance and centre; ``label``; and ``spheres``.

    ``spheres`` holds under ``runs``, by the key of each run, the ``distance`` in A, the ``centre`` (its site in the
    supercell), the ``atom`` that it is in frames, whose atoms are sorted by element, and the numbers of atoms that are
    ``held`` and ``mobile``; how many ``frames`` are asked of each run, all after ``start``; the ``force_tolerance``.

    :raises ValueError: as :func:`spheres_of`.
    """
    settings = parameters.get_dict()
    spheres = spheres_of(settings, structure)
    interval = settings['steps'] // settings['frames']
    plan: dict[str, Any] = {'supercell': {'supercell': cell_size(settings)}, 'label': settings['label']}
    for key, sphere in spheres.items():
        plan[key] = {
            **settings['md'],
            'temperature': settings['temperature'],
            'steps': settings['steps'],
            'sample_interval': interval,
            'fixed': sphere.pop('sites'),
            'seed': derive_seed(settings['seed'], key),
        }
    plan['spheres'] = {
        'runs': spheres,
        'frames': settings['frames'],
        'start': (settings['md'].get('equilibration') or {}).get('steps', 0),
        'force_tolerance': settings['force_tolerance'],
    }
    return {key: orm.Dict(value) for key, value in plan.items()}


def cell_size(settings: Mapping[str, Any]) -> Any:
    """Return the supercell that is asked for, by default the smallest that holds the largest sphere."""
    given = settings.get('supercell')
    return smallest_image_distance(settings['distances']) if given is None else given


def spheres_of(settings: Mapping[str, Any], structure: orm.StructureData) -> dict[str, dict[str, Any]]:
    """Return the spheres, by the key of their run, with the ``sites`` that each holds.

    :raises ValueError: if the centres are not there, a sphere reaches its own image, or it leaves nothing to move.
    """
    sites = draw_centres(structure, settings['centre'], settings.get('centres', 1), settings['seed'])
    crystal = supercell_of(structure, cell_size(settings))
    # A supercell groups the copies of each site together, and they are all alike: the first stands for them.
    copies = len(crystal) // len(structure.sites)
    order = np.argsort([site.specie.symbol for site in crystal], kind='stable')
    found = {}
    for d, distance in enumerate(sorted(settings['distances'])):
        for c, site in enumerate(sites):
            centre = site * copies
            held = held_atoms(crystal.lattice.matrix, crystal.cart_coords, centre, distance)
            found[f'md_{d:02d}_{c:02d}'] = {
                'distance': distance,
                'centre': centre,
                'element': crystal[centre].specie.symbol,
                'atom': int(np.flatnonzero(order == centre)[0]),
                'held': len(held),
                'mobile': len(crystal) - len(held),
                'sites': held.tolist(),
            }
    return found


def draw_centres(structure: orm.StructureData, centre: str | int, number: int, seed: int) -> list[int]:
    """Return the sites of ``structure`` that are centres: ``number`` of those of an element, drawn, or the one named.

    :raises ValueError: if there are not so many.
    """
    symbols = [structure.get_kind(site.kind_name).symbol for site in structure.sites]
    if isinstance(centre, int):
        if centre >= len(symbols):
            raise ValueError(f'`centre` names site {centre}, and the last of the structure is {len(symbols) - 1}')
        return [centre]
    sites = [index for index, symbol in enumerate(symbols) if symbol == centre]
    if len(sites) < number:
        raise ValueError(
            f'`centres` asks for {number} sites of {centre} and the structure has {len(sites)}: lower it, or correct '
            '`centre`'
        )
    rng = np.random.default_rng(derive_seed(seed, 'centres'))
    return sorted(int(site) for site in rng.choice(sites, size=number, replace=False))
