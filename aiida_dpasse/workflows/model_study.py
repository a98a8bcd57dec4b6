"""`ModelStudyWorkChain`: which model, how many frames, which labels: by errors and by what the ions do.

The sweeps of the perspective of Yan, Tang and Zhu (figures 1 to 3): force errors do not tell the diffusion.
"""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, Process, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.draw_frames import draw_frames
from aiida_dpasse.functions.plan_model_study import plan_model_study
from aiida_dpasse.functions.tabulate_model_study import tabulate_model_study
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.conductivity import ConductivityWorkChain
from aiida_dpasse.workflows.label import share_of
from aiida_dpasse.workflows.model_study_parameters import ModelStudyParameters, validate_model_study
from aiida_dpasse.workflows.train import TrainBaseWorkChain
from aiida_dpasse.workflows.validate import ValidateWorkChain
from aiida_dpasse.workflows.validators import best_form, validate_labelled

#: What a conductivity tells, whatever its exit code.
FOUND = ('transport', 'arrhenius')


class ModelStudyWorkChain(DpasseWorkChain):
    """Train every model on every set of frames at every size, test all on the same frames, run dynamics with all."""

    CODES = ('dp', 'python')
    OPTIONAL_CODES = ('lmp',)
    PARAMETERS = ModelStudyParameters
    PROTOCOL = 'model_study'
    CHILDREN = {'validation': ValidateWorkChain, 'conductivity': ConductivityWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'training_data',
            valid_type=FramesData,
            required=False,
            help='Labelled frames to train on, by name; several, to compare labels.',
        )
        spec.input('test_data', valid_type=FramesData, validator=validate_labelled, help='Labelled frames to test on.')
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            required=False,
            help='Of the dynamics: one structure, or several configurations of its disorder.',
        )
        spec.input_namespace(
            'potentials', valid_type=DeepPotentialData, required=False, help='Frozen potentials to compare with.'
        )
        spec.input_namespace(
            'calculators', valid_type=orm.Dict, required=False, help='ASE calculators to compare with.'
        )
        spec.inputs.validator = validate_model_study
        spec.outline(
            cls.prepare,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.test_potentials,
            cls.simulate,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.tabulate,
        )
        spec.output(
            'model_study',
            valid_type=orm.Dict,
            help='`points`: errors, diffusion and activation energy of every potential; `summary`: over the repeats; '
            '`enough`: the fewest frames that tell the same as the most.',
        )
        spec.output_namespace(
            'potentials',
            valid_type=DeepPotentialData,
            help='Frozen, or compressed if their training says so, by `<model>_<data>_<n>_<r>`.',
        )
        exit_code(
            spec,
            'ERROR_TRAINING_FAILED',
            message='No training succeeded: see their exit codes and correct `parameters.models`.',
        )
        exit_code(
            spec,
            'ERROR_VALIDATION_FAILED',
            message='The potentials could not be tested, because {reason} They are attached.',
        )
        exit_code(
            spec,
            'ERROR_INCOMPLETE',
            message='{count} of the trainings, tests and dynamics failed, the first, `{key}`, because {reason} What '
            'the others tell is attached.',
        )

    def prepare(self) -> None:
        """Draw the frames of every training and queue it."""
        data = self.inputs.get('training_data', {})
        self.ctx.plan = plan_model_study(self.inputs.parameters, **data, metadata={'call_link_label': 'plan'})
        self.ctx.drawn = {}
        for name, frames in data.items():
            for key in sorted(key for key in self.ctx.plan if key.startswith(f'frames_{name}_')):
                metadata = {'call_link_label': key}
                self.ctx.drawn[key] = draw_frames(frames, self.ctx.plan[key], metadata=metadata)
        self.enqueue('make_training', sorted(key for key in self.ctx.plan if key.startswith('train_')))

    def make_training(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return one training."""
        point = self.ctx.plan['points'][key.removeprefix('train_')]
        # All models of a set, a size and a repeat see the same frames.
        drawn = key.replace(f'train_{point["model"]}_', 'frames_', 1)
        return TrainBaseWorkChain, {
            'train': {
                'code': self.inputs.codes.dp,
                'training_data': self.ctx.drawn.get(drawn, self.inputs.training_data[point['data']]),
                'parameters': self.ctx.plan[key],
                'metadata': {'options': self.options_for('train')},
            },
            **self.restart(key),
        }

    def test_potentials(self) -> ExitCode | None:
        """Test every potential that came to be, and what it is compared with, on the same frames."""
        for key, node in self.unfinished('train_').items():
            self.report(f'{key}<{node.pk}> failed with exit code {node.exit_status}: {node.exit_message}')
        trained = {key.removeprefix('train_'): best_form(node.outputs) for key, node in self.finished('train_').items()}
        self.out('potentials', trained)
        self.ctx.potentials = {**trained, **self.inputs.get('potentials', {})}
        calculators = dict(self.inputs.get('calculators', {}))
        if not self.ctx.potentials and not calculators:
            return self.exit_codes.ERROR_TRAINING_FAILED
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
        """Queue the dynamics with every potential and calculator."""
        node = self.ctx.validation
        if 'report_card' not in node.outputs:
            return self.failure(node, self.exit_codes.ERROR_VALIDATION_FAILED.format(reason=node.exit_message))
        if 'conductivity_00' in self.ctx.plan:
            labels = [*sorted(self.ctx.potentials), *sorted(self.inputs.get('calculators', {}))]
            self.ctx.simulated = len(labels)
            self.enqueue('make_dynamics', [f'dynamics_{label}' for label in labels])
        return None

    def make_dynamics(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the conductivity with one potential or calculator."""
        label = key.removeprefix('dynamics_')
        if label in self.ctx.potentials:
            repeat = self.ctx.plan['points'].get_dict().get(label, {}).get('repeat', 0)
            mover, plan = {'potential': self.ctx.potentials[label]}, f'conductivity_{repeat:02d}'
        else:
            mover, plan = {'calculator': self.inputs.calculators[label]}, 'conductivity_calculator'
        return ConductivityWorkChain, {
            **self.shared(ConductivityWorkChain, key),
            **mover,
            'parameters': self.ctx.plan[plan],
            'structures': self.inputs.structures,
            'max_concurrent': share_of(self.inputs.max_concurrent, self.ctx.simulated),
        }

    def tabulate(self) -> ExitCode | None:
        """Attach the table, and say what is missing from it."""
        dynamics = {key: node for key, node in self.ctx.done.items() if key.startswith('dynamics_')}
        found = {
            key.replace('dynamics', name, 1): node.outputs[name]
            for key, node in dynamics.items()
            for name in FOUND
            if name in node.outputs
        }
        validation = self.ctx.validation
        table = tabulate_model_study(
            self.ctx.plan['points'], validation.outputs.report_card, **found, metadata={'call_link_label': 'tabulate'}
        )
        self.out('model_study', table)
        # An undetermined conductivity is an answer; none at all is not.
        lost = self.unfinished('train_') | ({} if validation.is_finished_ok else {'validation': validation})
        lost |= {key: node for key, node in dynamics.items() if 'transport' not in node.outputs}
        if not lost:
            return None
        key, node = next(iter(lost.items()))
        return self.exit_codes.ERROR_INCOMPLETE.format(count=len(lost), key=key, reason=node.exit_message)
