"""`ModelStudyWorkChain`: comparison of models, training set sizes and labels by their errors and by ion dynamics.

The sweeps follow the perspective of Yan, Tang and Zhu (figures 1 to 3): force errors do not determine the diffusion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.assess.compared import define_compared
from aiida_dpasse.assess.model_study_parameters import ModelStudyParameters, of_calculator
from aiida_dpasse.assess.plan_model_study import plan_model_study, study_runs
from aiida_dpasse.assess.tabulate_model_study import tabulate_model_study
from aiida_dpasse.assess.validate import ValidateWorkChain, validate_validation
from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import freeze_first, run_queue
from aiida_dpasse.base.structures import PlannedWorkChain
from aiida_dpasse.base.validators import best_form, check_dynamics_of, check_ion, define_labelled, validate_structures
from aiida_dpasse.calculations.md_ase import check_dynamics
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.draw_frames import draw_frames
from aiida_dpasse.runs import Run
from aiida_dpasse.train.train import training


def validate_model_study(inputs: Any, port: Any = None) -> str | None:
    """Return an error message if there is nothing to compare, or data, structures and potentials are not compatible.

    :param inputs: inputs of the process.
    :param port: the port namespace.
    :return: the message, or None if the inputs are valid.
    """
    if 'parameters' not in inputs or inputs.get('test_data') is None:
        return None
    settings = ModelStudyParameters.model_validate(inputs['parameters'].get_dict())
    models = [name for name, training in settings.models.items() if training is not None]
    data, test = inputs.get('training_data') or {}, inputs['test_data']
    given = {**(inputs.get('potentials') or {}), **(inputs.get('calculators') or {})}
    if models and not data:
        return 'training_data: the `models` require labelled frames, by name.'
    if not models and not given:
        return 'parameters: there is nothing to compare: give `models`, `potentials` or `calculators`.'
    for name, frames in data.items():
        if models and (message := _check_data(name, frames, test, settings)):
            return message
    runs = study_runs(settings, {name: frames.frames for name, frames in data.items()})
    if taken := {run.label for run in runs.select(what='train')} & set(given):
        return f'potentials, calculators: the label `{min(taken)}` is that of a training: choose another.'
    return _check_given(inputs, settings, port) or _check_dynamics(inputs, settings, port)


def _check_data(name: str, frames: FramesData, test: FramesData, settings: ModelStudyParameters) -> str | None:
    if not frames.labelled:
        return f'training_data.{name}: the frames have no energies and forces: label them with `dpasse.label` first.'
    if max(settings.sizes or [0]) > frames.frames:
        return (
            f'parameters: `sizes` ({max(settings.sizes or [0])}) exceeds the number of frames of '
            f'`training_data.{name}` ({frames.frames}).'
        )
    if both := set(frames.ids()) & set(test.ids()):
        return (
            f'test_data: {len(both)} of its frames are also in `training_data.{name}`: test on frames not used '
            'for training.'
        )
    if missing := sorted(set(test.elements) - set(frames.elements)):
        return f'test_data: it contains {missing[0]}, which `training_data.{name}` lacks.'
    return None


def _check_given(inputs: Any, settings: ModelStudyParameters, port: Any) -> str | None:
    """Return the objection that the validation would raise to the potentials and calculators given as inputs."""
    given = {name: inputs[name] for name in ('codes', 'potentials', 'calculators') if inputs.get(name)}
    if len(given) == ('codes' in given):
        return None
    parameters = orm.Dict(settings.validation.model_dump())
    return validate_validation({**given, 'test_sets': {'test': inputs['test_data']}, 'parameters': parameters}, port)


def _check_dynamics(inputs: Any, settings: ModelStudyParameters, port: Any) -> str | None:
    structures, codes = inputs.get('structures') or {}, inputs.get('codes') or {}
    if settings.conductivity is None:
        return 'structures: `conductivity` is null: set it, or omit the structures.' if structures else None
    if not structures:
        return 'structures: `conductivity` requires at least one: give it, or set `conductivity` to null.'
    if 'lmp' not in codes:
        return 'codes.lmp: `conductivity` requires LAMMPS: give the code, or set `conductivity` to null.'
    if message := validate_structures(structures) or check_ion(structures, settings.conductivity.transport.ion):
        return message
    for label, structure in structures.items():
        for name, frames in (inputs.get('training_data') or {}).items():
            if missing := sorted(structure.get_symbols_set() - set(frames.elements)):
                return f'structures.{label}: it contains {missing[0]}, which `training_data.{name}` lacks.'
        for name, potential in (inputs.get('potentials') or {}).items():
            if message := check_dynamics_of(f'potentials.{name}', potential, structure, codes):
                return message
    own: Mapping[str, Any] = of_calculator(settings.conductivity)
    for label in inputs.get('calculators') or {}:
        if message := check_dynamics({**own['md'], 'temperature': 1.0, 'seed': 1}):
            return f'calculators.{label}: parameters: `conductivity.md`: {message}'
    return None


class ModelStudyWorkChain(PlannedWorkChain):
    """Compute errors and ionic transport of models trained on different data sets and numbers of frames.

    Every model is trained on every set of frames at every size. All potentials are tested on the same frames and, if
    requested, used for molecular dynamics.
    """

    CODES = (PROGRAM, 'python')
    OPTIONAL_CODES = ('lmp', 'torchrun')
    PARAMETERS = ModelStudyParameters
    PROTOCOL = 'model_study'
    RUNS_IN_LAMMPS = ('potentials',)
    CHILDREN = {'validation': ValidateWorkChain, 'conductivity': ConductivityWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'training_data',
            valid_type=FramesData,
            required=False,
            help='Labelled frames for training, by name; several sets compare their labels.',
        )
        define_labelled(spec, 'test_data', 'Labelled frames for the test.')
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            required=False,
            help='Structures of the dynamics: one, or several configurations of its disorder.',
        )
        define_compared(spec)
        spec.inputs.validator = validate_model_study
        spec.outline(
            *freeze_first(cls),
            cls.prepare,
            run_queue(cls),
            cls.test_potentials,
            cls.simulate,
            run_queue(cls),
            cls.tabulate,
        )
        spec.output(
            'model_study',
            valid_type=orm.Dict,
            help='`points`: errors, diffusion and activation energy of every potential; `summary`: averages over the '
            'repeats; `enough`: smallest number of frames whose results agree with those of the largest.',
        )
        spec.output_namespace(
            'potentials',
            valid_type=Potential,
            help='Trained potentials, compressed if requested, otherwise frozen, by the labels of the trainings.',
        )
        exit_code(
            spec,
            'ERROR_TRAINING_FAILED',
            message='All trainings failed. The first failure: {reason} Correct `parameters.models`.',
        )
        exit_code(
            spec,
            'ERROR_VALIDATION_FAILED',
            message='The test of the potentials failed: {reason} The potentials are attached.',
        )
        exit_code(
            spec,
            'ERROR_INCOMPLETE',
            message='{count} trainings, tests and dynamics failed. The first failure, `{key}`: {reason} The results of '
            'the others are attached.',
        )

    def freeze_checkpoints(self) -> None:
        """Queue the freezing of checkpoints if molecular dynamics is requested; the test reads checkpoints directly."""
        if self.settings.conductivity is not None:
            super().freeze_checkpoints()

    def prepare(self) -> ExitCode | None:
        """Draw the frames of every training and queue the trainings."""
        data = self.namespace('training_data')
        self.ctx.plan = plan_model_study(
            self.inputs.parameters, training_data=data, metadata={'call_link_label': 'plan'}
        )
        self.ctx.drawn = {}
        for run in self.runs.select(what='draw'):
            metadata = {'call_link_label': run.label}
            self.ctx.drawn[run.id] = draw_frames(
                data[str(run.data)], self.ctx.plan['frames'][run.id], metadata=metadata
            )
        self.enqueue('make_training', self.runs.select(what='train'))
        return None

    def make_training(self, run: Run) -> Child:
        """Return one training; all models of the same data set, size and repeat are trained on the same frames."""
        drawn = self.runs.select(what='draw', data=run.data, size=run.size, replica=run.replica)
        return training(
            self,
            run.label,
            training_data=self.ctx.drawn[drawn[0].id] if drawn else self.inputs.training_data[run.data],
            parameters=self.ctx.plan['train'][run.id],
        )

    def test_potentials(self) -> ExitCode | None:
        """Test all trained potentials and those given for comparison on the same frames."""
        failed = self.report_failures('train')
        trained = {run.label: best_form(node.outputs) for run, node in self.succeeded('train').items()}
        self.out('potentials', trained)
        self.ctx.potentials = {**trained, **self.namespace('potentials')}
        calculators = self.namespace('calculators')
        if not self.ctx.potentials and not calculators:
            reason = next(iter(failed.values())).exit_message
            return self.exit_codes.ERROR_TRAINING_FAILED.format(reason=reason)
        inputs = {
            **self.shared(ValidateWorkChain, 'validation'),
            'parameters': self.ctx.plan['validation'],
            'test_sets': {'test': self.inputs.test_data},
            'potentials': self.ctx.potentials,
            'calculators': calculators,
        }
        self.run_child('validation', ValidateWorkChain, inputs)
        return None

    def simulate(self) -> ExitCode | None:
        """Queue the molecular dynamics with every potential and calculator."""
        node = self.ctx.validation
        if 'report_card' not in node.outputs:
            return self.failure(node, self.exit_codes.ERROR_VALIDATION_FAILED.format(reason=node.exit_message))
        if 'conductivity' in self.ctx.plan:
            repeats = {run.label: run.replica for run in self.runs.select(what='train')}
            labels = [*sorted(self.ctx.potentials), *sorted(self.namespace('calculators'))]
            runs = [Run('dynamics', n, potential=label, replica=repeats.get(label)) for n, label in enumerate(labels)]
            self.enqueue('make_dynamics', runs)
        return None

    def make_dynamics(self, run: Run) -> Child:
        """Return the conductivity calculation with one potential or calculator."""
        inputs = {**self.shared(ConductivityWorkChain, run.label), 'structures': self.namespace('structures')}
        label = str(run.potential)
        if label in self.ctx.potentials:
            inputs['potential'] = self.runnable(self.ctx.potentials[label])
            inputs['parameters'] = self.ctx.plan['conductivity'][f'repeat_{run.replica or 0}']
        else:
            inputs['calculator'] = self.inputs.calculators[label]
            inputs['parameters'] = self.ctx.plan['calculator']
        return ConductivityWorkChain, inputs

    def tabulate(self) -> ExitCode | None:
        """Attach the table, and report what is missing from it."""
        dynamics, validation = self.ended('dynamics'), self.ctx.validation
        found = {
            name: {str(run.potential): node.outputs[name] for run, node in dynamics.items() if name in node.outputs}
            for name in ('transport', 'arrhenius')
        }
        card, metadata = validation.outputs.report_card, {'call_link_label': 'tabulate'}
        self.out('model_study', tabulate_model_study(self.ctx.plan['runs'], card, **found, metadata=metadata))
        # An undetermined conductivity is a valid result; a missing one is a failure.
        lost = {run.label: node for run, node in self.failed('train').items()}
        lost |= {} if validation.is_finished_ok else {'validation': validation}
        lost |= {run.label: node for run, node in dynamics.items() if 'transport' not in node.outputs}
        if not lost:
            return None
        key, node = next(iter(lost.items()))
        return self.exit_codes.ERROR_INCOMPLETE.format(count=len(lost), key=key, reason=node.exit_message)
