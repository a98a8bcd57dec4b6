"""`VaspLabelWorkChain`: labels by VASP through aiida-vasp's `VaspWorkChain`, one frame a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida import orm
from aiida.common.exceptions import InputValidationError, NotExistent
from aiida.engine import ExitCode, Process
from aiida.plugins import DataFactory, WorkflowFactory
from pydantic import Field, field_validator

from aiida_dpasse.calculations.label import LabelJobParameters
from aiida_dpasse.functions.plan_vasp_label import DEFAULTS, plan_vasp_label
from aiida_dpasse.functions.read_vasp_labels import STARTED, read_vasp_labels
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.vasp.incar import OURS
from aiida_dpasse.workflows.label_batch import BatchLabelWorkChain, KpointsParameters


class VaspParameters(Parameters):
    """VASP's settings; how the ions move and what is computed for them is added."""

    incar: dict[str, Any] = Field(description='Tags of INCAR for the electrons.')
    kpoints: KpointsParameters = Field(description='K-points: a mesh around Gamma, or its density, as by KSPACING.')
    potential_family: str | None = Field(
        description='POTCAR family, as `aiida-vasp potcar uploadfamily` named it; it has to be given.'
    )
    potential_mapping: dict[str, str] = Field(description='Name of the POTCAR of each element, as `Li_sv`.')
    stalled_after: float = Field(
        default=DEFAULTS['stalled_after'],
        gt=0,
        description='A VASP that has written nothing for so many seconds is stopped.',
    )
    retry: dict[str, Any] | None = Field(
        default=None, description='Laid over the other settings for frames that failed in spite of aiida-vasp.'
    )

    @field_validator('incar')
    @classmethod
    def _free(cls, incar: dict[str, Any]) -> dict[str, Any]:
        if taken := [name for name in incar if name.upper() in OURS]:
            raise ValueError(f'take {taken[0]} out: labelling writes it')
        return incar


class VaspLabelParameters(LabelJobParameters):
    """What is admitted, and how VASP is run."""

    vasp: VaspParameters = Field(description="VASP's settings.")


class VaspLabelWorkChain(BatchLabelWorkChain):
    """Label one batch with VASP: one job for each frame, with what aiida-vasp does about those that fail."""

    CODES = ('vasp',)
    PARAMETERS = VaspLabelParameters

    @classmethod
    def objection(cls, parameters: Mapping[str, Any], elements: Iterable[str]) -> str | None:
        """Return one sentence if a setting is wrong, a tag is none of VASP's, or a POTCAR is missing."""
        if message := super().objection(parameters, elements):
            return message
        vasp = parameters['vasp']
        return _objection_to_tags(vasp['incar']) or _objection_to_potentials(vasp, sorted(elements))

    def prepare(self) -> ExitCode | None:
        """Write structure, INCAR and k-points of the frames that are worth labelling."""
        self.ctx.plan = plan_vasp_label(
            self.inputs.frames, self.inputs.parameters, metadata={'call_link_label': 'plan'}
        )
        self.enqueue('make_job', sorted(self.ctx.plan['jobs'].get_dict()))
        return None

    def make_job(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return job ``key``."""
        plan = self.ctx.plan
        inputs = {
            'code': self.inputs.codes.vasp,
            'structure': plan[f'structure_{key}'],
            'parameters': plan[f'incar_{key}'],
            'kpoints': plan[plan['jobs'][key]],
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

    def collect(self) -> dict[str, orm.Data]:
        """Read what the last calculation of each job left, and count all of them."""
        answers: dict[str, orm.Data] = {}
        for key, node in self.ctx.done.items():
            calculations = sorted(
                (call for call in node.called if isinstance(call, orm.CalcJobNode)), key=lambda call: call.pk or 0
            )
            answers |= {
                f'{STARTED}{key}_{number}': call.outputs.remote_folder
                for number, call in enumerate(calculations)
                if 'remote_folder' in call.outputs
            }
            if calculations and 'retrieved' in calculations[-1].outputs:
                answers[key] = calculations[-1].outputs.retrieved
        return dict(
            read_vasp_labels(
                self.inputs.frames, self.inputs.parameters, **answers, metadata={'call_link_label': 'collect'}
            )
        )


def _objection_to_tags(incar: Mapping[str, Any]) -> str | None:
    """One sentence if aiida-vasp does not know a tag."""
    from aiida_vasp.common import parameters_validator

    try:
        parameters_validator(orm.Dict({'incar': {name.lower(): value for name, value in incar.items()}}))
    except InputValidationError as error:
        return f'parameters: `vasp.incar` is not accepted by aiida-vasp ({error}): correct the tag.'
    return None


def _objection_to_potentials(vasp: Mapping[str, Any], elements: list[str]) -> str | None:
    """One sentence if an element has no POTCAR in the family."""
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
