"""Perturb frames once more, as the paper does with the frames of a teacher's trajectory."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.perturb import draw


@calcfunction
def perturb_frames(frames: FramesData, parameters: orm.Dict) -> FramesData:
    """Return ``number`` perturbed copies of every frame, unlabelled, with the step and source of the frame
    they come from.

    ``parameters`` holds ``number``, ``cell_fraction``, ``displacement`` and ``closest`` (A), and ``seed``. A
    copy that
    cannot keep its atoms apart is drawn again up to 50 times.

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
            # Its parent's identity leads the lineage on: sources and steps do not tell one run's frames from another's.
            reasons = [f'perturbed from {identity}' for identity in copies.ids]
            moved_set = type(item)(symbols=item.symbols, cells=np.array(cells), positions=np.array(positions))
            sets.append(moved_set.with_origin(sources=copies.sources, steps=copies.steps, reasons=reasons))
    return FramesData.from_sets(sets)
