"""`TrainCalculation`: train a potential, freeze and compress it, in one job of DeePMD-kit's ``dp``."""

from __future__ import annotations

import io
import json
from typing import Any, ClassVar

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo, CodeRunMode
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_dpasse.calculations.parameters import parameters_validator
from aiida_dpasse.calculations.train_parameters import TrainParameters, validate_inputs
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.deepmd.training_input import complete_input, single_model, type_map_of


class TrainCalculation(CalcJob):
    """Runs ``dp train``, then ``dp freeze`` and ``dp compress`` where asked for."""

    INPUT: ClassVar[str] = 'input.json'
    STDOUT: ClassVar[str] = 'train.out'
    FREEZE_STDOUT: ClassVar[str] = 'freeze.out'
    COMPRESS_STDOUT: ClassVar[str] = 'compress.out'
    CURVE: ClassVar[str] = 'lcurve.out'
    #: Text file of DeePMD-kit that names the last checkpoint.
    LATEST: ClassVar[str] = 'checkpoint'
    PREFIX: ClassVar[str] = 'model.ckpt'
    PRETRAINED: ClassVar[str] = 'pretrained.pt'
    TRAINING: ClassVar[str] = 'training'
    VALIDATION: ClassVar[str] = 'validation'
    FLAGS: ClassVar[dict[str, str]] = {'pytorch': '--pt', 'tensorflow': '--tf'}
    #: Frozen and compressed model by backend; a checkpoint of TensorFlow is several files and stays on the machine.
    FROZEN: ClassVar[dict[str, str]] = {'pytorch': 'frozen.pth', 'tensorflow': 'frozen.pb'}
    COMPRESSED: ClassVar[dict[str, str]] = {'pytorch': 'compressed.pth', 'tensorflow': 'compressed.pb'}
    CHECKPOINT: ClassVar[str] = 'model.ckpt.pt'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        options = spec.inputs['metadata']['options']
        options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['resources'].required = False
        options['withmpi'].default = False
        options['parser_name'].default = 'dpasse.train'
        options['input_filename'].default = cls.INPUT
        options['output_filename'].default = cls.STDOUT
        spec.inputs['code'].help = "DeePMD-kit's `dp`."
        spec.input('training_data', valid_type=FramesData, help='Labelled frames to learn from.')
        spec.input(
            'validation_data',
            valid_type=FramesData,
            required=False,
            help='Labelled frames whose errors are written to the learning curve.',
        )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=parameters_validator(TrainParameters),
            help='Settings of the training.',
        )
        spec.input(
            'pretrained', valid_type=DeepPotentialData, required=False, help='Checkpoint to fine-tune (PyTorch).'
        )
        spec.input(
            'restart_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Working directory of an interrupted training with the same parameters, which is carried on.',
        )
        spec.inputs.validator = validate_inputs
        potential = {'valid_type': DeepPotentialData, 'required': False}
        spec.output('checkpoint', help='Checkpoint: to fine-tune or to go on from (PyTorch).', **potential)
        spec.output('frozen', help='Frozen potential: for LAMMPS and for labelling.', **potential)
        spec.output('compressed', help='Compressed potential: faster in LAMMPS.', **potential)
        spec.output(
            'learning_curve',
            valid_type=orm.ArrayData,
            required=False,
            help="Columns by DeePMD-kit's names: `step`, `rmse_e_trn` (eV/atom), `rmse_f_trn` (eV/A)...",
        )
        spec.output(
            'results',
            valid_type=orm.Dict,
            help='Steps done, last losses, seconds per step, version of DeePMD-kit.',
        )
        spec.default_output_node = 'results'
        cls._define_exit_codes(spec)

    @classmethod
    def _define_exit_codes(cls, spec: CalcJobProcessSpec) -> None:
        spec.exit_code(
            300,
            'ERROR_NO_RETRIEVED_FOLDER',
            message='Nothing came back from the computer: check its transport and submit again.',
            invalidates_cache=True,
        )
        spec.exit_code(
            310,
            'ERROR_NO_LEARNING_CURVE',
            message='The training left no readable learning curve ({reason}): see `train.out` in the retrieved folder.',
            invalidates_cache=True,
        )
        spec.exit_code(
            320,
            'ERROR_NO_POTENTIAL',
            message='The training finished without {what} ({reason}): see {file} in the retrieved folder.',
            invalidates_cache=True,
        )
        spec.exit_code(
            400,
            'ERROR_INTERRUPTED',
            message='It ended at step {step} of {steps}: carry it on from its remote folder (`restart_folder`).',
            invalidates_cache=True,
        )
        spec.exit_code(
            410,
            'ERROR_DIVERGED',
            message='The loss is not a number from step {step} on: lower `learning_rate.start_lr` or mend the labels.',
        )
        spec.exit_code(
            420,
            'ERROR_OUT_OF_MEMORY',
            message='Out of memory: lower `training.training_data.batch_size`, or use a larger machine.',
            invalidates_cache=True,
        )
        spec.exit_code(
            430,
            'ERROR_TRAINING_FAILED',
            message='DeePMD-kit stopped with an error ({reason}): see `train.out` in the retrieved folder.',
            invalidates_cache=True,
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input, lay down the frames, and chain the three programs."""
        parameters = TrainParameters.model_validate(self.inputs.parameters.get_dict())
        info = CalcInfo()
        info.local_copy_list = []
        info.provenance_exclude_list = []
        systems = {}
        for port, directory in (('training_data', self.TRAINING), ('validation_data', self.VALIDATION)):
            systems[port] = self._lay_down(info, folder, port, directory, parameters) if port in self.inputs else []
        content = complete_input(
            self._sections(parameters),
            training_systems=systems['training_data'],
            validation_systems=systems['validation_data'],
            type_map=self._type_map(),
            seed=parameters.seed,
        )
        folder.create_file_from_filelike(io.StringIO(json.dumps(content, indent=1)), self.INPUT, mode='w')
        if 'pretrained' in self.inputs and 'restart_folder' not in self.inputs:
            pretrained = self.inputs.pretrained
            info.local_copy_list.append((pretrained.uuid, pretrained.filename, self.PRETRAINED))
        if 'restart_folder' in self.inputs:
            restart = self.inputs.restart_folder
            place, path = restart.computer.uuid, restart.get_remote_path()
            # Copies: the former job keeps its checkpoints, and the learning curve is appended to.
            checkpoint = self._restart_from(parameters)
            files = (checkpoint if parameters.backend == 'pytorch' else f'{checkpoint}.*', self.LATEST, self.CURVE)
            info.remote_copy_list = [(place, f'{path}/{name}', '.') for name in files]
        info.codes_info = [
            self._program(self.STDOUT, 'train', self.INPUT, *self._start(parameters)),
            *self._after_training(parameters),
        ]
        info.codes_run_mode = CodeRunMode.SERIAL
        info.retrieve_list = [
            self.STDOUT,
            self.FREEZE_STDOUT,
            self.COMPRESS_STDOUT,
            self.CURVE,
            self.LATEST,
            'out.json',
        ]
        # Models become nodes of their own: they need no second home in the retrieved folder.
        backend = parameters.backend
        checkpoint = self.CHECKPOINT if backend == 'pytorch' else f'{self.PREFIX}-*.meta'
        info.retrieve_temporary_list = [self.FROZEN[backend], self.COMPRESSED[backend], checkpoint]
        return info

    def _sections(self, parameters: TrainParameters) -> dict[str, Any]:
        if 'restart_folder' not in self.inputs or parameters.finetune is None:
            return parameters.input
        # A restart has no `--use-pretrain-script`: what that took over is written out.
        taken = single_model(self.inputs.pretrained.training_input['model'], parameters.finetune.model_branch)
        own = {key: value for key, value in parameters.input['model'].items() if value}
        kept = taken if parameters.finetune.use_pretrain_script else {}
        return {**parameters.input, 'model': {**own, **kept}}

    def _type_map(self) -> list[str]:
        source = self.inputs.pretrained.type_map if 'pretrained' in self.inputs else self.inputs.training_data.elements
        return list(source)

    def _lay_down(
        self, info: CalcInfo, folder: Folder, port: str, directory: str, parameters: TrainParameters
    ) -> list[str]:
        frames = self.inputs[port]
        if not parameters.mixed:
            info.local_copy_list.append((frames.uuid, '.', directory))
            return [f'{directory}/{formula}' for formula in frames.formulas]
        target = folder.get_subfolder(directory, create=True)
        written = frames.write(
            target.abspath, mixed=True, type_map=type_map_of(parameters.input['model']) or self._type_map()
        )
        # The frames are an input already: a second copy in this node would say nothing new.
        info.provenance_exclude_list.append(directory)
        return [f'{directory}/{path.relative_to(target.abspath)}' for path in written]

    def _start(self, parameters: TrainParameters) -> list[str]:
        if 'restart_folder' in self.inputs:
            return ['--restart', self._restart_from(parameters)]
        if parameters.finetune is None:
            return []
        arguments = ['--finetune', self.PRETRAINED]
        if parameters.finetune.use_pretrain_script:
            arguments.append('--use-pretrain-script')
        if parameters.finetune.model_branch is not None:
            arguments += ['--model-branch', parameters.finetune.model_branch]
        return arguments

    def _restart_from(self, parameters: TrainParameters) -> str:
        if parameters.backend == 'pytorch':
            return self.CHECKPOINT
        # TensorFlow's last checkpoint is several links, and a job can be killed between two of them: the parser found
        # out which of the numbered ones is whole.
        creator = self.inputs.restart_folder.creator
        step = creator.outputs.results['checkpoint_step'] if creator and 'results' in creator.outputs else 0
        return f'{self.PREFIX}-{step}' if step else self.PREFIX

    def _after_training(self, parameters: TrainParameters) -> list[CodeInfo]:
        frozen, compressed = self.FROZEN[parameters.backend], self.COMPRESSED[parameters.backend]
        programs = []
        if parameters.freeze:
            programs.append(self._program(self.FREEZE_STDOUT, 'freeze', '-o', frozen))
        if parameters.compress:
            programs.append(self._program(self.COMPRESS_STDOUT, 'compress', '-i', frozen, '-o', compressed))
        return programs

    def _program(self, stdout: str, *arguments: str) -> CodeInfo:
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = [self.FLAGS[self.inputs.parameters['backend']], *arguments]
        code.stdout_name = stdout
        code.join_files = True
        code.withmpi = bool(self.inputs.metadata.options.withmpi) and arguments[0] == 'train'
        return code
