"""How far a committee was from the truth, beside how far its members were from each other."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData


@calcfunction
def compare_to_labels(
    frames: FramesData, predictions: orm.ArrayData, **inputs: dict[str, DeepPotentialData]
) -> orm.Dict:
    """Return, for each of ``frames``, its deviation when it was chosen and the committee's error, both in eV/A.

    The error is the largest over the atoms of the distance between the label and the mean force of the committee.

    :param predictions: those of the committee, as `dpasse.evaluate` gives them.
    :param inputs: the committee's ``potentials`` by the labels that they had there.
    """
    mean = np.mean([predictions.get_array(f'{label}_force') for label in inputs['potentials']], axis=0)
    labels = np.concatenate([np.asarray(item.forces).reshape(-1, 3) for item in frames.sets()])
    distances = np.linalg.norm(mean - labels, axis=1)
    starts = np.concatenate([[0], np.cumsum(predictions.get_array('natoms'))[:-1]]).astype(int)
    deviations = np.concatenate([item.deviations for item in frames.sets()])
    errors = np.maximum.reduceat(distances, starts)
    known = np.isfinite(deviations)
    return orm.Dict({'deviations_eV_A': deviations[known].tolist(), 'errors_eV_A': errors[known].tolist()})
