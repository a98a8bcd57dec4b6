"""Merge the segments of one molecular dynamics run."""

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
    """Merge the outputs of the segments of one molecular dynamics run.

    A step that occurs in several segments is taken from the latest.

    :param inputs: namespaces ``results``, ``frames``, ``thermo`` and ``deviation``, each with the outputs of the
        segments by names that sort in the order of the segments.
    :returns: ``results`` (Dict) and, if segments have them, ``frames`` (FramesData), ``thermo`` and ``deviation``
        (ArrayData) of the whole run.
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
    # Results of earlier releases lack `final_temperature_K`.
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
    # A union references the stored arrays instead of copying them.
    return FramesData.union(nodes) if whole else FramesData.from_sets(kept)
