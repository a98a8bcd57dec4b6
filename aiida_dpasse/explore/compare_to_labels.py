"""Errors of a committee against its deviation."""

from __future__ import annotations

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData


@calcfunction
def compare_to_labels(frames: FramesData, predictions: orm.ArrayData, **inputs: dict[str, Potential]) -> orm.Dict:
    """Compare the error of a committee with its deviation at selection, for each labelled frame.

    The error of a frame is the largest distance over its atoms between the labelled force and the committee's mean
    force.

    :param frames: labelled frames, with the deviations from their selection.
    :param predictions: predictions of the committee by `dpasse.evaluate`.
    :param inputs: namespace ``potentials``, the committee by the labels used in that evaluation.
    :returns: ``deviations_eV_A`` and ``errors_eV_A``, lists in eV/A, for the frames with a known deviation.
    """
    mean = np.mean([predictions.get_array(f'{label}_force') for label in inputs['potentials']], axis=0)
    labels = np.concatenate([np.asarray(item.forces).reshape(-1, 3) for item in frames.sets()])
    distances = np.linalg.norm(mean - labels, axis=1)
    starts = np.concatenate([[0], np.cumsum(predictions.get_array('natoms'))[:-1]]).astype(int)
    deviations = np.concatenate([item.deviations for item in frames.sets()])
    errors = np.maximum.reduceat(distances, starts)
    known = np.isfinite(deviations)
    return orm.Dict({'deviations_eV_A': deviations[known].tolist(), 'errors_eV_A': errors[known].tolist()})
