"""Convert crystals to frames with close contacts."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.frames.make_supercell import supercell_of
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.contacts import push_together


@calcfunction
def close_contacts(parameters: orm.Dict, **inputs: dict[str, orm.StructureData]) -> dict[str, FramesData]:
    """Make supercells of all structures with two neighbouring atoms pushed together in each.

    :param parameters: ``supercell``, ``contacts`` (``number`` of copies of each structure, ``displacement`` in A) and
        ``seed``.
    :param inputs: namespace ``structures``, by label, which is the source of a frame.
    :returns: unlabelled ``frames``, none if no structure has atoms that can be pushed together.
    :raises ValueError: for partial occupancies.
    """
    settings = parameters.get_dict()
    structures = inputs['structures']
    sets = []
    for label in sorted(structures):
        crystal = supercell_of(structures[label], settings['supercell'])
        seed = derive_seed(settings['seed'], 'contacts', label)
        if found := push_together(crystal, seed=seed, **settings['contacts']):
            sets.append(
                FrameSet.sort_atoms(
                    [site.specie.symbol for site in crystal],
                    [item.structure.lattice.matrix for item in found],
                    [item.structure.cart_coords for item in found],
                    sources=label,
                    reasons=[f'{" and ".join(item.elements)} pushed to {item.distance:.2f} A' for item in found],
                )
            )
    return {'frames': FramesData.from_sets(concatenate(sets))} if sets else {}
