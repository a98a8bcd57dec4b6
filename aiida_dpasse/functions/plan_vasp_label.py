"""Write the frames of a batch for aiida-vasp: one job per frame, whether it is labelled, relaxed, or dynamics starts
from it."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.conversion import sets_to_ase
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.drivers.admission import limits_of
from aiida_dpasse.drivers.answers import jobs_by_frame
from aiida_dpasse.seeds import derive_seed
from aiida_dpasse.structures.kpoints import kpoint_mesh
from aiida_dpasse.vasp.incar import label_incar

#: Settings of aiida-vasp's jobs and parser: OSZICAR is kept as well.
SETTINGS: dict[str, Any] = {'ADDITIONAL_RETRIEVE_LIST': ['OSZICAR']}
#: Of settings that may be left out.
DEFAULTS = {'stalled_after': 3600.0}
#: Dynamics that was cut off starts anew, since the steps of one that goes on from its last frame would be miscounted.
HANDLERS = {'handler_unfinished_calc_ionic': {'enabled': False}}


@calcfunction
def plan_vasp_label(frames: FramesData, parameters: orm.Dict) -> dict[str, orm.Data]:
    """Return ``structure_<job>`` and ``incar_<job>`` of each job of `jobs_by_frame`, ``kpoints_<mesh>`` of each mesh,
    and what all share: ``potential_family``, ``potential_mapping``, ``settings``, ``handlers`` and the monitor
    ``stalled``. ``jobs`` holds the mesh of each job; frames that are not worth labelling are in none.

    The density of k-points is a frame's own, as with VASP's KSPACING.
    """
    given = parameters.get_dict()
    settings, limits = {**DEFAULTS, **given['vasp']}, limits_of(given, frames.elements)
    dynamics = limits['dynamics']
    plan: dict[str, orm.Data] = {
        'potential_family': orm.Str(settings['potential_family']),
        'potential_mapping': orm.Dict(settings['potential_mapping']),
        'settings': orm.Dict(SETTINGS),
        'handlers': orm.Dict({} if dynamics is None else HANDLERS),
        'stalled': orm.Dict({'entry_point': 'dpasse.stalled', 'kwargs': {'seconds': settings['stalled_after']}}),
    }
    meshes: dict[str, str] = {}
    for job, item in jobs_by_frame(frames.sets(), limits).items():
        seed = derive_seed(dynamics['seed'], 'dynamics', str(item.ids[0])) if dynamics else 0
        tags = label_incar(settings['incar'], dict.fromkeys(item.symbols), dynamics, seed, limits['relaxation'])
        mesh = kpoint_mesh(item.cells, settings['kpoints'])
        meshes[job] = 'kpoints_{}_{}_{}'.format(*mesh)
        if meshes[job] not in plan:
            kpoints = orm.KpointsData()
            kpoints.set_kpoints_mesh(list(mesh))
            plan[meshes[job]] = kpoints
        plan[f'structure_{job}'] = orm.StructureData(ase=sets_to_ase([item])[0])
        # aiida-vasp wants small letters.
        plan[f'incar_{job}'] = orm.Dict({'incar': {name.lower(): value for name, value in tags.items()}})
    return {**plan, 'jobs': orm.Dict(meshes)}
