"""Two-dimensional map of frames in which similar frames lie close together."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.structures.diversity import describe_sets
from aiida_dpasse.structures.projection import project


@calcfunction
def map_descriptors(settings: orm.Dict, frames: FramesData, **nodes: orm.ArrayData) -> orm.ArrayData:
    """Project the descriptors of frames onto two dimensions.

    :param settings: ``method``, ``perplexity``, ``seed`` and ``potential``.
    :param frames: frames to show; their source becomes the name of the array.
    :param nodes: ``descriptors``, an output of `dpasse.evaluate`. Without them the frames are described by radial
        distributions.
    :return: one array of coordinates (n, 2) for each source of ``frames``, and ``explained_variance`` for the method
        `pca`.
    """
    sets = frames.sets()
    if 'descriptors' in nodes:
        descriptors = nodes['descriptors'].get_array(settings['potential'])
    else:
        descriptors = describe_sets(sets, np.arange(frames.frames))
    options = {name: settings[name] for name in ('method', 'perplexity', 'seed')}
    coordinates, explained = project(descriptors, **options)
    sources = np.concatenate([item.sources for item in sets])
    node = orm.ArrayData()
    for source in np.unique(sources):
        node.set_array(str(source), coordinates[sources == source])
    if explained is not None:
        node.set_array('explained_variance', explained)
    return node
