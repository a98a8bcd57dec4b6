"""`FreezeCalculation`: the frozen and the compressed form of a checkpoint, for LAMMPS and for labelling."""

from __future__ import annotations

from typing import Any, ClassVar

from aiida import orm
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from pydantic import Field

from aiida_dpasse.calculations.dp_steps import DpStep, follow
from aiida_dpasse.calculations.one_worker import OneWorker
from aiida_dpasse.calculations.options import one_program, run_as_one_process
from aiida_dpasse.data.engine import Potential, validate_potentials, version_of
from aiida_dpasse.deepmd import engine
from aiida_dpasse.deepmd.engine import model_file
from aiida_dpasse.deepmd.multitask import single_model
from aiida_dpasse.deepmd.training_input import check_compressible
from aiida_dpasse.exit_codes import exit_code, job_exit_codes
from aiida_dpasse.parameters.base import Parameters, given, parameters_validator


class FreezeParameters(Parameters):
    """Parameters of freezing."""

    head: str | None = Field(default=None, description='Head to freeze, for a checkpoint with several heads.')
    compress: bool = Field(default=False, description='Also compress the potential, for faster molecular dynamics.')


def check_freezing(potential: Potential, parameters: FreezeParameters, version: str | None = None) -> str | None:
    """Check whether a potential can be frozen.

    :param potential: checkpoint.
    :param parameters: head and compression.
    :param version: version of DeePMD-kit that freezes, if it is known.
    :return: an error message, or None.
    """
    if not potential.is_checkpoint:
        return f'potential: it is {potential.form} already, and only a checkpoint can be frozen; use it directly.'
    if message := potential.check_usable_with(version) or engine.check_freezable(potential.descriptor):
        return f'potential: {message}'
    if potential.heads and parameters.head is None:
        return f'parameters: the checkpoint has several heads: set `head` to one of {", ".join(potential.heads)}.'
    if parameters.head is not None and parameters.head not in potential.heads:
        known = ', '.join(potential.heads) or 'none'
        return f'parameters: the checkpoint has no head `{parameters.head}`: choose one of {known}.'
    model = potential.training_input['model']
    if parameters.compress and (message := check_compressible(single_model(model, parameters.head))):
        return f'parameters: `compress`: {message}'
    return None


def validate_inputs(inputs: dict[str, Any], _: Any) -> str | None:
    """Return an error message if checkpoint, parameters and code are not compatible.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    inputs = given(inputs)
    if 'potential' not in inputs:
        return None  # a work chain exposes these ports without all of them
    settings = FreezeParameters.model_validate(inputs['parameters'].get_dict() if 'parameters' in inputs else {})
    return check_freezing(inputs['potential'], settings, version_of(inputs.get('code')))


class FreezeCalculation(OneWorker, CalcJob):
    """Calculation job that runs ``dp freeze`` and, if requested, ``dp compress``."""

    BACKEND: ClassVar[str] = 'pytorch'
    CHECKPOINT: ClassVar[str] = model_file(BACKEND, engine.CHECKPOINT)
    FROZEN: ClassVar[str] = model_file(BACKEND, engine.FROZEN, 'frozen')
    COMPRESSED: ClassVar[str] = model_file(BACKEND, engine.COMPRESSED, 'compressed')
    STDOUT: ClassVar[str] = 'freeze.out'
    COMPRESS_STDOUT: ClassVar[str] = 'compress.out'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        options = run_as_one_process(spec)
        options['parser_name'].default = 'dpasse.freeze'
        options['output_filename'].default = cls.STDOUT
        spec.inputs['code'].help = "DeePMD-kit's `dp`."
        spec.input('potential', valid_type=Potential, validator=validate_potentials, help='Checkpoint (PyTorch).')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Dict({}),
            validator=parameters_validator(FreezeParameters),
            help='Head to freeze, and whether to compress.',
        )
        spec.inputs.validator = validate_inputs
        potential = {'valid_type': Potential, 'required': False}
        spec.output('frozen', help='Frozen potential, for LAMMPS and for labelling.', **potential)
        spec.output('compressed', help='Compressed potential, faster in LAMMPS.', **potential)
        job_exit_codes(spec)
        exit_code(
            spec,
            'ERROR_NOT_FROZEN',
            message='DeePMD-kit did not make {what} ({reason}): see {file} in the retrieved folder.',
        )
        exit_code(
            spec,
            'ERROR_NO_RESULT',
            message='DeePMD-kit wrote neither {what} nor an error message in {file}: it was killed.',
            invalidates_cache=True,
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Copy the checkpoint and set up both commands to run in sequence."""
        parameters = FreezeParameters.model_validate(self.inputs.parameters.get_dict())
        potential = self.inputs.potential
        freeze = engine.freeze_arguments(self.BACKEND, self.FROZEN, checkpoint=self.CHECKPOINT, head=parameters.head)
        info = CalcInfo()
        info.local_copy_list = [(potential.uuid, potential.filename, self.CHECKPOINT)]
        info.codes_info = [one_program(self.inputs.code, freeze, self.STDOUT)]
        if parameters.compress:
            compress = engine.compress_arguments(self.BACKEND, self.FROZEN, self.COMPRESSED)
            step = DpStep(compress, self.COMPRESSED, self.COMPRESS_STDOUT)
            follow(info, folder, self.inputs.code, self.BACKEND, [step])
        info.retrieve_list = [self.STDOUT, self.COMPRESS_STDOUT]
        # The models are stored as separate nodes; a second copy in the retrieved folder would be redundant.
        info.retrieve_temporary_list = [self.FROZEN, self.COMPRESSED]
        return info
