"""`TrainCalculation`: train, freeze and compress a potential in one job with DeePMD-kit's ``dp``."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import ClassVar

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo, CodeRunMode
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_dpasse.calculations.dp_steps import DpStep, follow
from aiida_dpasse.calculations.one_worker import OneWorker
from aiida_dpasse.calculations.options import one_program, run_as_one_process
from aiida_dpasse.calculations.train_files import TRAINING, VALIDATION, lay_down_frames, whole_input
from aiida_dpasse.calculations.train_inputs import validate_inputs
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd import early_stop, engine
from aiida_dpasse.deepmd.early_stop import early_stop_script
from aiida_dpasse.deepmd.engine import BACKENDS, model_file
from aiida_dpasse.deepmd.restart import LATEST, PREFIX, REPORT, restart_argument, restart_script
from aiida_dpasse.deepmd.training_input import has_automatic_sel
from aiida_dpasse.exit_codes import exit_code, job_exit_codes
from aiida_dpasse.parameters.base import given, parameters_validator
from aiida_dpasse.parameters.train import TrainParameters

#: Files copied from the directory of a finished training; the bracket patterns make missing files acceptable.
FINISHED = (f'{PREFIX}-*', 'train.ou[t]', 'lcurve.ou[t]', 'out.jso[n]', 'restart.ou[t]', 'early_stop.ou[t]')


def copied(folder: orm.RemoteData, names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the entries of ``remote_copy_list`` that copy files of ``folder`` into the job.

    :param folder: working directory of another job.
    :param names: file names or patterns.
    """
    return [(folder.computer.uuid, f'{folder.get_remote_path()}/{name}', '.') for name in names]


class TrainCalculation(OneWorker, CalcJob):
    """Calculation job that runs ``dp train`` and, if requested, ``dp freeze`` and ``dp compress``."""

    INPUT: ClassVar[str] = 'input.json'
    STDOUT: ClassVar[str] = 'train.out'
    FREEZE_STDOUT: ClassVar[str] = 'freeze.out'
    COMPRESS_STDOUT: ClassVar[str] = 'compress.out'
    CURVE: ClassVar[str] = 'lcurve.out'
    PRETRAINED: ClassVar[str] = 'pretrained.pt'
    #: Frozen and compressed model by backend; a TensorFlow checkpoint consists of several files and is not retrieved.
    FROZEN: ClassVar[dict[str, str]] = {name: model_file(name, engine.FROZEN, 'frozen') for name in BACKENDS}
    COMPRESSED: ClassVar[dict[str, str]] = {
        name: model_file(name, engine.COMPRESSED, 'compressed') for name in BACKENDS
    }
    CHECKPOINT: ClassVar[str] = engine.NEWEST_CHECKPOINT

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        options = run_as_one_process(spec)
        options['parser_name'].default = 'dpasse.train'
        options['input_filename'].default = cls.INPUT
        options['output_filename'].default = cls.STDOUT
        spec.inputs['code'].help = "DeePMD-kit's `dp`."
        spec.input(
            TRAINING,
            valid_type=FramesData,
            required=False,
            help='Labelled training frames; for several heads use `head_training_data`.',
        )
        spec.input(
            VALIDATION,
            valid_type=FramesData,
            required=False,
            help='Labelled frames whose errors are written to the learning curve.',
        )
        for port in (TRAINING, VALIDATION):
            spec.input_namespace(
                f'head_{port}',
                valid_type=FramesData,
                dynamic=True,
                required=False,
                help=f'`{port}` by head, for a model with several heads (`model_dict`).',
            )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=parameters_validator(TrainParameters),
            help='Settings of the training.',
        )
        spec.input(
            'pretrained',
            valid_type=Potential,
            validator=validate_potentials,
            required=False,
            help='Checkpoint to fine-tune (PyTorch).',
        )
        spec.input(
            'restart_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Working directory of an interrupted training of the same model and number of steps, which is '
            'continued from its newest complete checkpoint.',
        )
        spec.input(
            'finished_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Working directory of a finished training with the same settings: its last checkpoint is frozen, and '
            'compressed if requested, and nothing is trained.',
        )
        spec.input(
            'restart_step',
            valid_type=orm.Int,
            required=False,
            serializer=orm.to_aiida_type,
            help='Continue from a checkpoint of at most this step: in the later ones the training has diverged.',
        )
        spec.input(
            'torchrun',
            valid_type=orm.AbstractCode,
            required=False,
            help="PyTorch's `torchrun` from the environment of `dp`; it starts a training in several `processes`.",
        )
        spec.inputs.validator = validate_inputs
        potential = {'valid_type': Potential, 'required': False}
        spec.output('checkpoint', help='Checkpoint, to fine-tune or to continue (PyTorch).', **potential)
        spec.output('frozen', help='Frozen potential, for LAMMPS and for labelling.', **potential)
        spec.output('compressed', help='Compressed potential, faster in LAMMPS.', **potential)
        spec.output(
            'learning_curve',
            valid_type=orm.ArrayData,
            required=False,
            help="Columns of this job, with DeePMD-kit's names: `step`, `rmse_e_trn` (eV/atom), `rmse_f_trn` (eV/A)...",
        )
        spec.output(
            'results',
            valid_type=orm.Dict,
            help='Completed steps, step of the restart, last losses, seconds per step, version of DeePMD-kit.',
        )
        spec.default_output_node = 'results'
        cls._define_exit_codes(spec)

    @classmethod
    def _define_exit_codes(cls, spec: CalcJobProcessSpec) -> None:
        job_exit_codes(spec)
        exit_code(
            spec,
            'ERROR_NO_LEARNING_CURVE',
            message='There is no readable learning curve ({reason}): see `train.out` in the retrieved folder.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_NO_POTENTIAL',
            message='The training finished without {what} ({reason}): see {file} in the retrieved folder.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_INTERRUPTED',
            message='It ended at step {step} of {steps}: continue from its remote folder (`restart_folder`).',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_DIVERGED',
            message='The loss is not finite or has exploded from step {step} on: lower `learning_rate.start_lr` and '
            'continue from an earlier checkpoint (`restart_step`), or correct the labels.',
        )
        exit_code(
            spec,
            'ERROR_OUT_OF_MEMORY',
            message='Out of memory: lower `training.training_data.batch_size`, or use a larger machine.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_TRAINING_FAILED',
            message='DeePMD-kit stopped with an error ({reason}): see `train.out` in the retrieved folder.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_NO_WHOLE_CHECKPOINT',
            message='No checkpoint in `restart_folder` is complete and early enough: give an earlier folder, or none.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_BROKEN_CHECKPOINT',
            message='The last checkpoint, of step {step}, is damaged ({reason}): continue from its remote folder, '
            'which uses the previous one.',
            invalidates_cache=True,
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input, provide the frames, and set up the three commands to run in sequence."""
        inputs = given(self.inputs)
        parameters = TrainParameters.model_validate(self.inputs.parameters.get_dict())
        info = CalcInfo()
        info.local_copy_list = []
        info.provenance_exclude_list = []
        info.codes_run_mode = CodeRunMode.SERIAL
        self._retrieve(info, parameters.backend)
        steps = self._after_training(parameters)
        if 'finished_folder' in inputs:
            info.remote_copy_list = copied(self.inputs.finished_folder, FINISHED)
            info.prepend_text = restart_script(parameters.backend, self.STDOUT, newest=True)
            info.codes_info = [one_program(self.inputs.code, step.arguments, step.log) for step in steps[:1]]
            follow(info, folder, self.inputs.code, parameters.backend, steps[1:])
            return info
        content = whole_input(inputs, parameters, lay_down_frames(inputs, parameters, info, folder))
        folder.create_file_from_filelike(io.StringIO(json.dumps(content, indent=1)), self.INPUT, mode='w')
        if 'pretrained' in inputs and 'restart_folder' not in inputs:
            pretrained = self.inputs.pretrained
            info.local_copy_list.append((pretrained.uuid, pretrained.filename, self.PRETRAINED))
        if 'restart_folder' in inputs:
            # The checkpoints are copied, not linked: this job removes those that it cannot use, and the former job
            # keeps its own.
            info.remote_copy_list = copied(self.inputs.restart_folder, (f'{PREFIX}-*',))
            limit = self.inputs.restart_step.value if 'restart_step' in inputs else None
            info.prepend_text = restart_script(parameters.backend, self.STDOUT, limit)
        if (stop := parameters.early_stop) is not None:
            script = early_stop_script(stop.error, stop.window, stop.improvement, self.CURVE)
            info.prepend_text = f'{info.get("prepend_text") or ""}\n{script}'
        info.codes_info = [self._training(parameters)]
        alone = parameters.processes == 1 and not self.inputs.metadata.options.withmpi
        follow(info, folder, self.inputs.code, parameters.backend, steps, join=alone)
        return info

    def _retrieve(self, info: CalcInfo, backend: str) -> None:
        info.retrieve_list = [
            self.STDOUT,
            self.FREEZE_STDOUT,
            self.COMPRESS_STDOUT,
            self.CURVE,
            LATEST,
            REPORT,
            early_stop.REPORT,
            'out.json',
        ]
        # The models are stored as separate nodes; a second copy in the retrieved folder would be redundant.
        info.retrieve_temporary_list = [self.FROZEN[backend], self.COMPRESSED[backend]]
        if backend == 'pytorch':
            info.retrieve_temporary_list.append(self.CHECKPOINT)

    def _training(self, parameters: TrainParameters) -> CodeInfo:
        program = one_program(self.inputs.code, self._train_arguments(parameters), self.STDOUT)
        program.withmpi = bool(self.inputs.metadata.options.withmpi)
        if parameters.processes > 1:
            # The distributed mode of DeePMD-kit requires `torchrun`, which starts one `dp` per GPU.
            launcher = ['--standalone', f'--nproc_per_node={parameters.processes}', '--no-python']
            program.cmdline_params = [*launcher, str(self.inputs.code.get_executable()), *program.cmdline_params]
            program.code_uuid = self.inputs.torchrun.uuid
        return program

    def _train_arguments(self, parameters: TrainParameters) -> list[str]:
        backend, finetune = parameters.backend, parameters.finetune
        descriptor = parameters.descriptor or (self.inputs.pretrained.descriptor if finetune is not None else '')
        if self.inputs.get('restart_folder') is not None:
            keep = not has_automatic_sel(parameters.input['model'])
            restart = restart_argument(backend)
            return engine.train_arguments(
                backend, self.INPUT, descriptor=descriptor, restart=restart, keep_neighbours=keep
            )
        if finetune is None:
            return engine.train_arguments(backend, self.INPUT, descriptor=descriptor)
        return engine.train_arguments(
            backend,
            self.INPUT,
            descriptor=descriptor,
            pretrained=self.PRETRAINED,
            use_pretrain_script=finetune.use_pretrain_script,
            branch=finetune.model_branch,
        )

    def _after_training(self, parameters: TrainParameters) -> list[DpStep]:
        frozen, compressed = self.FROZEN[parameters.backend], self.COMPRESSED[parameters.backend]
        steps = []
        if parameters.freeze:
            arguments = engine.freeze_arguments(parameters.backend, frozen, head=parameters.head)
            steps.append(DpStep(arguments, frozen, self.FREEZE_STDOUT))
        if parameters.compress:
            arguments = engine.compress_arguments(parameters.backend, frozen, compressed)
            steps.append(DpStep(arguments, compressed, self.COMPRESS_STDOUT))
        return steps
