"""Convert the parameters of a locality test into its fixed atoms, runs and labelling."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.locality_parameters import LocalityParameters
from aiida_dpasse.frames.make_supercell import supercell_of
from aiida_dpasse.landscape.locality import held_atoms, smallest_image_distance
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_locality(parameters: orm.Dict, structure: orm.StructureData) -> dict[str, Any]:
    """Plan the runs and the labelling of a locality test.

    :param parameters: content of :class:`LocalityParameters`.
    :param structure: crystal that contains the centres.
    :return: ``runs``, one for each distance (its number is ``size``) and centre (``replica``); ``md``, the parameters
        of each run by its id; ``supercell``; ``label``; and ``spheres``.
    :raises ValueError: as :func:`spheres_of`.

    ``spheres`` holds, under ``runs`` and by the id of each run, the ``distance`` in A, the ``centre`` (its site in the
    supercell), ``atom`` (its index in the frames, whose atoms are sorted by element), and the numbers of ``held`` and
    ``mobile`` atoms. It also holds ``frames``, the number requested from each run, all after the step ``start``, and
    the ``force_tolerance``.
    """
    settings = LocalityParameters.model_validate(parameters.get_dict())
    spheres = spheres_of(settings, structure)
    common = {
        **settings.md,
        'temperature': settings.temperature,
        'steps': settings.steps,
        'sample_interval': settings.steps // settings.frames,
    }
    dynamics = {
        run.id: {**common, 'fixed': sphere.pop('sites'), 'seed': derive_seed(settings.seed, 'md', run.number)}
        for run, sphere in spheres.items()
    }
    found = {
        'runs': {run.id: sphere for run, sphere in spheres.items()},
        'frames': settings.frames,
        'start': (settings.md.get('equilibration') or {}).get('steps', 0),
        'force_tolerance': settings.force_tolerance,
    }
    return {
        'runs': orm.Dict(Runs(spheres).to_dict()),
        'md': {key: orm.Dict(value) for key, value in dynamics.items()},
        'supercell': orm.Dict({'supercell': cell_size(settings)}),
        'label': orm.Dict(settings.label.model_dump()),
        'spheres': orm.Dict(found),
    }


def cell_size(settings: LocalityParameters) -> Any:
    """Return the requested supercell, by default the smallest one that contains the largest sphere.

    :param settings: parameters of the locality test.
    :return: three repetitions, a 3x3 matrix, or the smallest distance between images in A.
    """
    return smallest_image_distance(settings.distances) if settings.supercell is None else settings.supercell


def spheres_of(settings: LocalityParameters, structure: orm.StructureData) -> dict[Run, dict[str, Any]]:
    """Return the spheres by run, each with the ``sites`` that it holds fixed.

    :param settings: parameters of the locality test.
    :param structure: crystal that contains the centres.
    :return: content of ``spheres`` of :func:`plan_locality`, with the ``sites`` of the fixed atoms in the supercell.
    :raises ValueError: if the structure lacks the centres, a sphere reaches its own image, or no atom is left to move.
    """
    sites = draw_centres(structure, settings.centre, settings.centres, settings.seed)
    crystal = supercell_of(structure, cell_size(settings))
    # A supercell groups the copies of each site together. They are equivalent, so the first one represents them.
    copies = len(crystal) // len(structure.sites)
    order = np.argsort([site.specie.symbol for site in crystal], kind='stable')
    found = {}
    pairs = product(enumerate(sorted(settings.distances)), enumerate(sites))
    for number, ((d, distance), (c, site)) in enumerate(pairs):
        centre = site * copies
        held = held_atoms(crystal.lattice.matrix, crystal.cart_coords, centre, distance)
        found[Run('md', number, size=d, replica=c)] = {
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
    """Return the sites of ``structure`` that serve as centres.

    :param structure: crystal that contains the centres.
    :param centre: element whose sites are drawn at random, or the index of one site.
    :param number: number of sites to draw.
    :param seed: seed of the draw.
    :raises ValueError: if the structure has fewer sites.
    """
    symbols = [structure.get_kind(site.kind_name).symbol for site in structure.sites]
    if isinstance(centre, int):
        if centre >= len(symbols):
            raise ValueError(
                f'`centre` ({centre}) should be at most {len(symbols) - 1}, the last site of the structure'
            )
        return [centre]
    sites = [index for index, symbol in enumerate(symbols) if symbol == centre]
    if len(sites) < number:
        raise ValueError(
            f'`centres` ({number}) exceeds the number of {centre} sites in the structure ({len(sites)}): decrease it '
            'or correct `centre`'
        )
    rng = np.random.default_rng(derive_seed(seed, 'centres'))
    return sorted(int(site) for site in rng.choice(sites, size=number, replace=False))
