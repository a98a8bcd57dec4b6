"""Perturb frames, as the paper does with the frames of a teacher's trajectory."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.perturb import draw


@calcfunction
def perturb_frames(frames: FramesData, parameters: orm.Dict) -> FramesData:
    """Make perturbed, unlabelled copies of every frame, with step and source of the original frame.

    A copy in which two atoms are too close is drawn again, up to 50 times.

    :param frames: frames to perturb.
    :param parameters: ``number`` of copies, ``cell_fraction`` (largest relative strain), ``displacement`` and
        ``closest`` (A), and ``seed``.
    :returns: the copies.
    :raises ValueError: if no draw of a frame keeps the atoms apart.
    """
    settings = parameters.get_dict()
    limits = {name: settings[name] for name in ('cell_fraction', 'displacement', 'closest')}
    sets = []
    for item in frames.sets():
        origin = np.repeat(np.arange(len(item)), settings['number'])
        cells, positions = [], []
        for frame, identity in enumerate(item.ids):
            generator = np.random.default_rng(derive_seed(settings['seed'], 'perturb', str(identity)))
            for _ in range(settings['number']):
                cell, moved = draw(item.cells[frame], item.positions[frame], 1.0, generator=generator, **limits)
                cells.append(cell)
                positions.append(moved)
        if cells:
            copies = item.with_labels().take(origin)
            # The reason names the parent frame: source and step do not distinguish the frames of different runs.
            reasons = [f'perturbed from {identity}' for identity in copies.ids]
            moved_set = type(item)(symbols=item.symbols, cells=np.array(cells), positions=np.array(positions))
            sets.append(moved_set.with_origin(sources=copies.sources, steps=copies.steps, reasons=reasons))
    return FramesData.from_sets(sets)
