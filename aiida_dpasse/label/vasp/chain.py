"""`VaspLabelWorkChain`: labels by density-functional theory with VASP, through aiida-vasp."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida import orm
from aiida.common.exceptions import InputValidationError, NotExistent
from aiida.plugins import DataFactory, WorkflowFactory

from aiida_dpasse.base.chain import Child
from aiida_dpasse.label.batch import BatchLabelWorkChain
from aiida_dpasse.label.vasp.parameters import VaspLabelParameters
from aiida_dpasse.label.vasp.plan import plan_vasp_label
from aiida_dpasse.label.vasp.read import read_vasp_labels
from aiida_dpasse.runs import Run
from aiida_dpasse.vasp.incar import expand_tags, objection_to_tags


class VaspLabelWorkChain(BatchLabelWorkChain):
    """Compute energies, forces and virials of one batch of frames with VASP, one job for each frame.

    The jobs are run by aiida-vasp's `VaspWorkChain`, which also handles their errors.
    """

    CODES = ('vasp',)
    PARAMETERS = VaspLabelParameters
    HELP = 'VASP, run by aiida-vasp, for labelling.'
    EXECUTABLES = ('vasp',)
    PLAN = staticmethod(plan_vasp_label)
    READ = staticmethod(read_vasp_labels)

    @classmethod
    def objection(cls, parameters: Mapping[str, Any], elements: Iterable[str]) -> str | None:
        """Check that the settings are valid, the tags are VASP's and every element has a POTCAR."""
        if message := super().objection(parameters, elements):
            return message
        vasp, names = parameters['vasp'], sorted(elements)
        for settings in (vasp, vasp.get('retry') or {}):
            if message := _objection_to_tags(settings.get('incar') or {}, names):
                return message
        return _objection_to_potentials(vasp, names)

    @classmethod
    def plugin_nodes(cls) -> dict[str, tuple[type[orm.Data], ...]]:
        """Return settings of handlers, two switches, and the POTCARs of the family that is named by an input."""
        types = (orm.KpointsData, orm.Dict, orm.Bool, DataFactory('vasp.potcar'))
        return dict.fromkeys(('vasp.vasp', 'vasp.v2.vasp'), types)

    def make_job(self, run: Run) -> Child:
        """Return the job of ``run``."""
        plan = self.ctx.plan
        inputs = {
            'code': self.inputs.codes.vasp,
            'structure': plan['structures'][run.id],
            'parameters': plan['incars'][run.id],
            'kpoints': plan['kpoints'][plan['meshes'][run.id]],
            'potential_family': plan['potential_family'],
            'potential_mapping': plan['potential_mapping'],
            'settings': plan['settings'],
            'monitors': {'stalled': plan['stalled']},
            'handler_overrides': plan['handlers'],
            'max_iterations': self.inputs.max_iterations,
            'clean_workdir': self.inputs.clean_workdir,
            'calc': {'metadata': {'options': self.job_options()}},
        }
        return WorkflowFactory('vasp.v2.vasp'), inputs

    def answers(self) -> dict[str, Any]:
        """Return the files of the last calculation of each job, and the folders of all calculations."""
        retrieved, started = {}, {}
        for run, node in self.ended('vasp').items():
            calculations = sorted(
                (call for call in node.called if isinstance(call, orm.CalcJobNode)), key=lambda call: call.pk or 0
            )
            for number, call in enumerate(calculations):
                if 'remote_folder' in call.outputs:
                    started[run.follow('vasp', segment=number).id] = call.outputs.remote_folder
            if calculations and 'retrieved' in calculations[-1].outputs:
                retrieved[run.id] = calculations[-1].outputs.retrieved
        return {'runs': self.ctx.plan['runs'], 'retrieved': retrieved, 'started': started}


def _objection_to_tags(incar: Mapping[str, Any], elements: list[str]) -> str | None:
    """Return one sentence if a tag does not fit the elements, or aiida-vasp does not know it."""
    from aiida_vasp.common import parameters_validator

    if message := objection_to_tags(incar, elements):
        return f'parameters: `vasp.incar`: {message}.'
    try:
        tags = expand_tags(incar, elements)
        parameters_validator(orm.Dict({'incar': {name.lower(): value for name, value in tags.items()}}))
    except InputValidationError as error:
        return f'parameters: `vasp.incar` is not accepted by aiida-vasp ({error}): correct the tag.'
    return None


def _objection_to_potentials(vasp: Mapping[str, Any], elements: list[str]) -> str | None:
    """Return one sentence if an element has no POTCAR in the family."""
    potcars, family = DataFactory('vasp.potcar'), vasp['potential_family']
    if not family:
        return 'parameters: `vasp.potential_family` is missing; give the name of a POTCAR family.'
    if potcars.get_potcar_group(family) is None:
        return f'parameters: there is no POTCAR family {family!r}; upload it with `aiida-vasp potcar uploadfamily`.'
    for element in elements:
        name = vasp['potential_mapping'].get(element)
        if name is None:
            return f'parameters: `vasp.potential_mapping` has no POTCAR for {element}; give its name, as {element}.'
        try:
            potcars.get_potcars_dict([element], family, mapping={element: name})
        except (NotExistent, ValueError):
            return f'parameters: the POTCAR family {family!r} has no {name}; upload it, or map {element} to another.'
    return None
