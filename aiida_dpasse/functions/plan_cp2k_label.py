"""Write the frames of a batch for CP2K: one job per formula, or one per frame that is relaxed or starts dynamics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.cp2k.input import label_input
from aiida_dpasse.data.conversion import sets_to_ase, sets_to_trajectory
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.admission import limits_of
from aiida_dpasse.drivers.answers import jobs_by_formula, jobs_by_frame
from aiida_dpasse.merging import merge
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.kpoints import kpoint_mesh


@calcfunction
def plan_cp2k_label(frames: FramesData, parameters: orm.Dict) -> dict[str, orm.Data]:
    """Return, for each job of :func:`cp2k_jobs`, ``structure_<job>``, ``parameters_<job>`` and, unless the job moves
    the atoms itself, ``trajectory_<job>``. Frames that are not worth labelling are in no job; if none is left, ``jobs``
    says so.
    """
    given = parameters.get_dict()
    settings, limits = given['cp2k'], limits_of(given, frames.elements)
    dynamics, relaxation = limits['dynamics'], limits['relaxation']
    jobs = cp2k_jobs(frames.sets(), limits)
    plan: dict[str, orm.Data] = {'jobs': orm.List(list(jobs))}
    for job, item in jobs.items():
        elements, mesh = sorted(set(item.symbols)), kpoint_mesh(item.cells, settings.get('kpoints'))
        plan[f'structure_{job}'] = orm.StructureData(ase=sets_to_ase([item.take([0])])[0])
        if relaxation is not None:
            text = label_input(elements, settings, mesh, relaxation=relaxation)
        elif dynamics is None:
            text = label_input(elements, settings, mesh, frames=len(item))
            plan[f'trajectory_{job}'] = sets_to_trajectory([item.with_origin(steps=range(len(item)))])
        else:
            seed = derive_seed(dynamics['seed'], 'dynamics', str(item.ids[0]))
            text = merge(label_input(elements, settings, mesh, dynamics=dynamics), {'GLOBAL': {'SEED': seed}})
        plan[f'parameters_{job}'] = orm.Dict(text)
    return plan


def cp2k_jobs(sets: Iterable[FrameSet], limits: Mapping[str, Any]) -> dict[str, FrameSet]:
    """Return the frames of each job, without labels, by the job's name: ``frames_<formula>``, or ``frame_<id>`` where
    the job moves the atoms of that frame."""
    by_frame = limits['dynamics'] is not None or limits['relaxation'] is not None
    return jobs_by_frame(sets, limits) if by_frame else jobs_by_formula(sets, limits)
