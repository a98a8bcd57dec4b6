"""Convert crystals to perturbed frames."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.frames.make_supercell import supercell_of
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.perturb import perturb


@calcfunction
def perturb_structures(parameters: orm.Dict, **inputs: dict[str, orm.StructureData]) -> FramesData:
    """Make perturbed supercells of all structures; the source of a frame is the structure's label.

    :param parameters: ``supercell``, ``scales`` (linear), ``perturbations`` (``number`` per scale, ``cell_fraction``,
        ``displacement`` and ``closest`` in A) and ``seed``.
    :param inputs: namespace ``structures``, by label.
    :returns: unlabelled frames.
    :raises ValueError: for partial occupancies, or if no draw keeps the atoms apart.
    """
    settings = parameters.get_dict()
    structures = inputs['structures']
    sets = []
    for label in sorted(structures):
        crystal = supercell_of(structures[label], settings['supercell'])
        drawn = perturb(
            crystal,
            scales=settings['scales'],
            seed=derive_seed(settings['seed'], 'perturb', label),
            **settings['perturbations'],
        )
        if drawn:
            sets.append(
                FrameSet.sort_atoms(
                    [site.specie.symbol for site in crystal],
                    [item.structure.lattice.matrix for item in drawn],
                    [item.structure.cart_coords for item in drawn],
                    sources=label,
                    reasons=[f'perturbed at scale {item.scale:g}' for item in drawn],
                )
            )
    return FramesData.from_sets(concatenate(sets))
