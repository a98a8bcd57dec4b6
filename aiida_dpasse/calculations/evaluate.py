"""`EvaluateCalculation`: predictions and errors of potentials on frames, and the deviation of a committee."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from pydantic import Field

from aiida_dpasse.calculations.driver import FRAMES, DriverCalculation
from aiida_dpasse.calculations.staging import stage_potential, staged_name
from aiida_dpasse.data.engine import Potential, validate_potentials, version_of
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.parameters.base import Parameters, given, parameters_validator


class EvaluateParameters(Parameters):
    """Parameters of an evaluation."""

    heads: dict[str, str] = Field(
        default_factory=dict, description='Head to use of each multi-task potential, by label of the potential.'
    )
    descriptors: bool = Field(default=False, description='Whether to compute the descriptor of each frame.')


def validate_inputs(inputs: dict[str, Any], _: Any) -> str | None:
    """Return an error message if potentials and frames are not compatible.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    inputs = given(inputs)
    if 'frames' not in inputs:
        return None  # a work chain exposes these ports without all of them
    potentials = given(inputs.get('potentials', {}))
    if not potentials:
        return 'potentials: none is given: give at least one.'
    parameters = inputs['parameters'].get_dict() if 'parameters' in inputs else {}
    heads = parameters.get('heads', {})
    if unknown := sorted(set(heads) - set(potentials)):
        known = ', '.join(sorted(potentials))
        return f'parameters: `heads` names the potential `{unknown[0]}`, which is not among {known}.'
    version = version_of(inputs.get('code'))
    for label, potential in potentials.items():
        head = heads.get(label)
        if head not in (potential.heads or [None]):
            return (
                f'parameters: `heads.{label}` should be one of {", ".join(potential.heads)}, got {head!r}.'
                if potential.heads
                else f'parameters: the potential `{label}` has no heads: remove it from `heads`.'
            )
        message = potential.check_elements(inputs['frames'].elements, 'the frames') or potential.check_usable_in_python(
            version
        )
        if message:
            return f'potentials.{label}: {message}'
    return None


class EvaluateCalculation(DriverCalculation):
    """Calculation job that evaluates potentials on frames and computes the errors with respect to existing labels."""

    DRIVER = 'evaluate'
    MODULES = (
        'deepmd.arrays',
        'deepmd.dataset',
        'assessment.errors',
        'deepmd.frameset',
        'deepmd.intake',
        'quoting',
        'unreadable',
    )

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the ports and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'potentials', valid_type=Potential, validator=validate_potentials, dynamic=True, help='Potentials by label.'
        )
        spec.input('frames', valid_type=FramesData, help='Frames to evaluate; errors are computed if they have labels.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Dict({}),
            validator=parameters_validator(EvaluateParameters),
            help='Heads of multi-task potentials.',
        )
        spec.inputs['metadata']['options']['parser_name'].default = 'dpasse.evaluate'
        spec.inputs.validator = validate_inputs
        spec.output(
            'results',
            valid_type=orm.Dict,
            help='By label: number of frames and errors of energy (meV/atom), force (meV/A) and virial (meV/atom), '
            'overall, `per_formula` and `per_element`.',
        )
        spec.output(
            'predictions',
            valid_type=orm.ArrayData,
            help='By label: `<label>_energy` (eV), `<label>_force` (eV/A, atoms of all frames one after the other), '
            '`<label>_virial` (eV); `natoms` of each frame.',
        )
        spec.output(
            'deviation',
            valid_type=orm.ArrayData,
            required=False,
            help='Deviation of each frame among two or more potentials: `max_devi_f`, `min_devi_f`, `avg_devi_f` '
            '(eV/A), `max_devi_v`, `min_devi_v`, `avg_devi_v` (eV/atom).',
        )
        spec.output(
            'descriptors',
            valid_type=orm.ArrayData,
            required=False,
            help='By label: the descriptor of each frame, the mean over its atoms, if requested.',
        )
        spec.default_output_node = 'results'
        exit_code(
            spec,
            'ERROR_POTENTIAL',
            message='The potential `{label}` could not be evaluated ({reason}): check that the code can read it.',
            invalidates_cache=True,
        )

    def driver_job(self, folder: Folder) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
        """Write the frames; return the job and the potentials to copy."""
        parameters = EvaluateParameters.model_validate(self.inputs.parameters.get_dict())
        self.inputs.frames.write(folder.get_subfolder(FRAMES, create=True).abspath)
        copies = []
        potentials = {}
        for label, potential in self.inputs.potentials.items():
            # DeePMD-kit determines the backend from the suffix.
            target = f'potentials/{label}'
            potentials[label] = {'file': staged_name(potential, target), 'head': parameters.heads.get(label)}
            copies.append(stage_potential(potential, target))
        return {'potentials': potentials, 'descriptors': parameters.descriptors}, copies
