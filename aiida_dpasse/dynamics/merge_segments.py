"""Join the segments of one molecular dynamics."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.lammps.log import join_tables
from aiida_dpasse.lammps.speed import katom_steps_per_s
from aiida_dpasse.lammps.summary import summarize_run


@calcfunction
def merge_segments(**inputs: dict[str, dict[str, orm.Data]]) -> dict[str, orm.Data]:
    """Return ``results`` and, where segments have them, ``frames``, ``thermo`` and ``deviation`` of the whole run.

    Where segments repeat a step, the later one counts.

    :param inputs: ``results``, ``frames``, ``thermo`` and ``deviation`` of the segments, each by names that stand in
        their order.
    """
    outputs: dict[str, orm.Data] = {}
    tables = {}
    for name in ('thermo', 'deviation'):
        tables[name] = join_tables([_table(node) for node in _of(inputs, name)])
        if tables[name]:
            outputs[name] = orm.ArrayData(tables[name])
    nodes = _of(inputs, 'frames')
    if nodes:
        outputs['frames'] = _join_frames(nodes)
    results = [node.get_dict() for node in _of(inputs, 'results')]
    merged: dict[str, Any] = dict(results[-1])
    for name in ('atom_steps', 'loop_time_s', 'frames_dropped'):
        merged[name] = sum(result[name] for result in results)
    times = [result['wall_time_s'] for result in results]
    merged['wall_time_s'] = None if None in times else sum(times)
    merged['katom_steps_per_s'] = katom_steps_per_s(merged['atom_steps'], merged['loop_time_s'])
    merged['loops'] = [loop for result in results for loop in result.get('loops', [])]
    merged['frames'] = outputs['frames'].frames if 'frames' in outputs else 0
    merged['segments'] = len(results)
    # Results of an earlier release do not hold it.
    heated = merged.get('final_temperature_K') is not None
    start, atoms, mass, timestep = (merged[name] for name in ('production_start', 'atoms', 'mass_u', 'timestep_fs'))
    merged |= summarize_run(tables['thermo'], start, atoms, mass, timestep, heated)
    return {**outputs, 'results': orm.Dict(merged)}


def _of(inputs: dict[str, dict[str, orm.Data]], name: str) -> list[Any]:
    return [node for _, node in sorted(inputs.get(name, {}).items())]


def _table(node: orm.ArrayData) -> dict[str, Any]:
    return {name: node.get_array(name) for name in node.get_arraynames()}


def _join_frames(nodes: list[FramesData]) -> FramesData:
    groups = [node.sets() for node in nodes]
    firsts = [min(int(item.steps.min()) for item in sets) for sets in groups]
    kept = []
    whole = True
    for index, sets in enumerate(groups):
        end = min(firsts[index + 1 :], default=np.iinfo(np.int64).max)
        for item in sets:
            inside = np.flatnonzero(item.steps < end)
            whole = whole and len(inside) == len(item)
            if len(inside):
                kept.append(item.take(inside))
    # A union keeps the arrays as they lie, at no cost.
    return FramesData.union(nodes) if whole else FramesData.from_sets(kept)
