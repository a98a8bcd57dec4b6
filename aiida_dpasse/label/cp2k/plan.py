"""Write the frames of a batch for CP2K."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.cp2k.input import label_input
from aiida_dpasse.data.conversion import sets_to_ase, sets_to_trajectory
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.label.cp2k.parameters import Cp2kLabelParameters
from aiida_dpasse.labels.admission import limits_of
from aiida_dpasse.labels.answers import jobs_by_formula, jobs_by_frame
from aiida_dpasse.merging import merge
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.kpoints import kpoint_mesh


@calcfunction
def plan_cp2k_label(frames: FramesData, parameters: orm.Dict) -> dict[str, Any]:
    """Write the inputs of CP2K for the frames of a batch.

    Frames that fail the geometry checks are in no job.

    :param frames: frames to label, to relax, or to start dynamics from.
    :param parameters: `Cp2kLabelParameters`.
    :returns: ``runs``, the records of :func:`cp2k_jobs`; by the id of the run ``structures``, ``inputs`` and, unless
        the job moves the atoms itself, ``trajectories``.
    """
    given = Cp2kLabelParameters.model_validate(parameters.get_dict()).model_dump()
    settings, limits = given['cp2k'], limits_of(given, frames.elements)
    dynamics, relaxation = limits['dynamics'], limits['relaxation']
    jobs = cp2k_jobs(frames.sets(), limits)
    structures, inputs, trajectories = {}, {}, {}
    for run, item in jobs.items():
        elements, mesh = sorted(set(item.symbols)), kpoint_mesh(item.cells, settings.get('kpoints'))
        structures[run.id] = orm.StructureData(ase=sets_to_ase([item.take([0])])[0])
        if relaxation is not None:
            text = label_input(elements, settings, mesh, relaxation=relaxation)
        elif dynamics is None:
            text = label_input(elements, settings, mesh, frames=len(item))
            trajectories[run.id] = sets_to_trajectory([item.with_origin(steps=range(len(item)))])
        else:
            seed = derive_seed(dynamics['seed'], 'dynamics', str(item.ids[0]))
            text = merge(label_input(elements, settings, mesh, dynamics=dynamics), {'GLOBAL': {'SEED': seed}})
        inputs[run.id] = orm.Dict(text)
    return {
        'runs': orm.Dict(Runs(jobs).to_dict()),
        'structures': structures,
        'inputs': inputs,
        'trajectories': trajectories,
    }


def cp2k_jobs(sets: Iterable[FrameSet], limits: Mapping[str, Any]) -> dict[Run, FrameSet]:
    """Return the frames of each job, without labels.

    A job contains all frames of one formula, or a single frame if the job runs dynamics or a relaxation.

    :param sets: frames of the batch.
    :param limits: acceptance criteria with ``dynamics`` and ``relaxation``, see `limits_of`.
    """
    by_frame = limits['dynamics'] is not None or limits['relaxation'] is not None
    return (jobs_by_frame if by_frame else jobs_by_formula)('cp2k', sets, limits)
