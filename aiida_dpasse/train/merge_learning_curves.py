"""Merge the learning curves of a training that ran in several jobs."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.deepmd.lcurve import LearningCurve, join_curves


@calcfunction
def merge_learning_curves(**curves: orm.ArrayData) -> orm.ArrayData:
    """Merge the learning curves of a training that ran in several jobs.

    A step that a later job repeated is taken from that job (:func:`aiida_dpasse.deepmd.lcurve.join_curves`).

    :param curves: learning curves of the jobs, under names that sort in the order of the jobs: ``curve_00``,
        ``curve_01``, ...
    :returns: the learning curve of the whole training.
    """
    segments = [curves[name] for name in sorted(curves)]
    joined = join_curves(
        [LearningCurve({name: node.get_array(name) for name in node.get_arraynames()}) for node in segments]
    )
    return orm.ArrayData(joined.columns)
