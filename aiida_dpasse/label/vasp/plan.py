"""Write the frames of a batch for aiida-vasp, one job for each frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.label.vasp.parameters import VaspLabelParameters
from aiida_dpasse.labels.admission import limits_of
from aiida_dpasse.labels.answers import jobs_by_frame
from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.kpoints import kpoint_mesh
from aiida_dpasse.vasp.incar import label_incar

#: Settings of the aiida-vasp jobs: OSZICAR is retrieved too.
SETTINGS: dict[str, Any] = {'ADDITIONAL_RETRIEVE_LIST': ['OSZICAR']}
#: Interrupted dynamics starts anew: if it continued from its last frame, its steps would be miscounted.
HANDLERS = {'handler_unfinished_calc_ionic': {'enabled': False}}


@calcfunction
def plan_vasp_label(frames: FramesData, parameters: orm.Dict) -> dict[str, Any]:
    """Write the inputs of aiida-vasp for the frames of a batch.

    Frames that fail the geometry checks are in no job. The k-point mesh of a frame follows from the spacing, as with
    VASP's KSPACING.

    :param frames: frames to label, to relax, or to start dynamics from.
    :param parameters: `VaspLabelParameters`.
    :returns: ``runs``, the records of `vasp_jobs`; by the id of the run ``structures`` and ``incars``; ``meshes``, the
        key in ``kpoints`` of each id; and the inputs that all jobs share: ``potential_family``, ``potential_mapping``,
        ``settings``, ``handlers`` and the monitor ``stalled``.
    """
    given = VaspLabelParameters.model_validate(parameters.get_dict()).model_dump()
    settings, limits = given['vasp'], limits_of(given, frames.elements)
    dynamics = limits['dynamics']
    jobs = vasp_jobs(frames.sets(), limits)
    shared = {
        'potential_family': orm.Str(settings['potential_family']),
        'potential_mapping': orm.Dict(settings['potential_mapping']),
        'settings': orm.Dict(SETTINGS),
        'handlers': orm.Dict({} if dynamics is None else HANDLERS),
        'stalled': orm.Dict({'entry_point': 'dpasse.stalled', 'kwargs': {'seconds': settings['stalled_after']}}),
    }
    meshes, kpoints, structures, incars = {}, {}, {}, {}
    for run, item in jobs.items():
        seed = derive_seed(dynamics['seed'], 'dynamics', str(item.ids[0])) if dynamics else 0
        tags = label_incar(settings['incar'], item.symbols, dynamics, seed, limits['relaxation'])
        mesh = kpoint_mesh(item.cells, settings['kpoints'])
        meshes[run.id] = 'mesh_{}_{}_{}'.format(*mesh)
        if meshes[run.id] not in kpoints:
            points = orm.KpointsData()
            points.set_kpoints_mesh(list(mesh))
            kpoints[meshes[run.id]] = points
        structures[run.id] = orm.StructureData(ase=sets_to_ase([item])[0])
        # aiida-vasp requires lower case.
        incars[run.id] = orm.Dict({'incar': {name.lower(): value for name, value in tags.items()}})
    return {
        **shared,
        'runs': orm.Dict(Runs(jobs).to_dict()),
        'meshes': orm.Dict(meshes),
        'kpoints': kpoints,
        'structures': structures,
        'incars': incars,
    }


def vasp_jobs(sets: Iterable[FrameSet], limits: Mapping[str, Any]) -> dict[Run, FrameSet]:
    """Return the frame of each job, without labels.

    :param sets: frames of the batch.
    :param limits: acceptance criteria, see `limits_of`.
    """
    return jobs_by_frame('vasp', sets, limits)
