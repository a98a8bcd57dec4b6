"""Join the learning curves of one training that ran in several jobs."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.deepmd.lcurve import LearningCurve, join_curves


@calcfunction
def merge_learning_curves(**curves: orm.ArrayData) -> orm.ArrayData:
    """Return the curve of the whole training.

    The inputs are the jobs' own curves under names that sort in the order of the jobs: ``curve_00``, ``curve_01``...
    Steps that a later job did again count as it did them (:func:`aiida_dpasse.deepmd.lcurve.join_curves`).
    """
    segments = [curves[name] for name in sorted(curves)]
    joined = join_curves(
        [LearningCurve({name: node.get_array(name) for name in node.get_arraynames()}) for node in segments]
    )
    return orm.ArrayData(joined.columns)
