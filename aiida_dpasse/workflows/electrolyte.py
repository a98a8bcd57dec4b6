"""`ElectrolyteWorkChain`: the whole study, from crystal structures to an ionic conductivity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.plan_electrolyte import plan_electrolyte
from aiida_dpasse.functions.summarize_electrolyte import summarize_electrolyte
from aiida_dpasse.workflows.active_learning import ActiveLearningWorkChain
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.conductivity import ConductivityWorkChain
from aiida_dpasse.workflows.distill import DistillWorkChain
from aiida_dpasse.workflows.finetune import FinetuneWorkChain
from aiida_dpasse.workflows.initial_data import InitialDataWorkChain
from aiida_dpasse.workflows.label_sources import BY_CODE, define_labeller, labeller_of
from aiida_dpasse.workflows.pretrain import PretrainWorkChain
from aiida_dpasse.workflows.study import (
    ElectrolyteParameters,
    distills_from_finetuned,
    given,
    phases_of,
    validate_study,
)
from aiida_dpasse.workflows.validators import validate_labelled, validate_structures


class ElectrolyteWorkChain(DpasseWorkChain):
    """Label, learn actively, pre-train, fine-tune, distil, and simulate the conductor.

    A phase runs only if its result is neither handed in nor needless: `frames` stand for the initial data,
    `active_learning_frames` for the active learning, `pretrained` for the pre-training, `finetune_frames` for the
    labels of the new compound, `finetuned` for the fine-tuning and `student` for the distillation. What a result makes
    needless is passed over as well: with `student` only the conductor is simulated, and fine-tuning is shown only
    where `finetune_structures` or `finetune_frames` are given.
    """

    CODES = ('dp', 'lmp', 'python')
    OPTIONAL_CODES = tuple(BY_CODE)
    PARAMETERS = ElectrolyteParameters
    PROTOCOL = 'electrolyte'
    PHASES: ClassVar[Mapping[str, type[DpasseWorkChain]]] = {
        'initial_data': InitialDataWorkChain,
        'active_learning': ActiveLearningWorkChain,
        'pretrain': PretrainWorkChain,
        'finetune_data': InitialDataWorkChain,
        'finetune': FinetuneWorkChain,
        'distill': DistillWorkChain,
        'conductivity': ConductivityWorkChain,
        'contrast': ConductivityWorkChain,
    }
    CHILDREN = PHASES

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        for name, use in {
            'structures': 'Crystals that initial data, active learning and pre-training are about.',
            'finetune_structures': 'Crystals of the new compound that the potential is fine-tuned to.',
            'conductor': 'The conductor: one or more configurations of its disorder.',
        }.items():
            spec.input_namespace(
                name,
                valid_type=orm.StructureData,
                required=name == 'conductor',
                validator=validate_structures if name == 'conductor' else None,
                help=use,
            )
        spec.input(
            'contrast',
            valid_type=orm.StructureData,
            required=False,
            help='Structure to compare the conductor with, at one temperature.',
        )
        define_labeller(spec)
        for name, use in {
            'frames': 'Labelled frames of `structures`, instead of the initial data.',
            'validation_data': 'Labelled frames that active learning and pre-training watch and never learn.',
            'test_data': 'Labelled frames that test the pre-trained potential and the student; with `pretrained` they '
            'should be frames that it never saw.',
            'active_learning_frames': 'Labelled frames to pre-train on, instead of active learning.',
            'finetune_frames': 'Labelled frames of the new compound, instead of `finetune_structures`.',
        }.items():
            spec.input(name, valid_type=FramesData, required=False, validator=validate_labelled, help=use)
        for name, use in {
            'pretrained.checkpoint': 'Checkpoint of the pre-trained potential: needed to fine-tune.',
            'pretrained.frozen': 'The same, frozen: needed to distil.',
            'finetuned': 'Fine-tuned potential, frozen, instead of the fine-tuning.',
            'student': 'Potential to simulate with, instead of the distillation.',
        }.items():
            spec.input(name, valid_type=DeepPotentialData, required=False, help=use)
        spec.inputs.validator = validate_study
        spec.outline(
            cls.setup,
            cls.make_initial_data,
            cls.learn_actively,
            cls.pretrain,
            cls.label_new_compound,
            cls.finetune_or_distill,
            cls.distill_or_finetune,
            cls.simulate_conductor,
            cls.simulate_contrast,
            cls.summarize,
        )
        for phase, process in cls.PHASES.items():
            spec.expose_outputs(process, namespace=phase, namespace_options={'required': False})
        spec.output('summary', valid_type=orm.Dict, required=False, help='The numbers of the study at a glance.')
        exit_code(
            spec,
            'ERROR_PHASE_FAILED',
            message='The phase `{phase}` failed: {reason} The results before it are attached: hand them in to go on.',
        )
        exit_code(
            spec,
            'ERROR_UNDETERMINED',
            message='All phases ran, but the conductivity is undetermined: {reason}',
        )

    def setup(self) -> None:
        """Decide which phases are needed and give each its parameters."""
        self.ctx.plan = plan_electrolyte(self.inputs.parameters, metadata={'call_link_label': 'plan'})
        self.ctx.waiting = list(phases_of(self.inputs))
        self.ctx.running = []
        self.ctx.remarks = {}
        self.report(f'phases: {", ".join(self.ctx.waiting)}')

    # -- the phases -------------------------------------------------------------------------------------------------

    def make_initial_data(self) -> ExitCode | None:
        """Label the first frames."""
        return self.start_phases('initial_data')

    def learn_actively(self) -> ExitCode | None:
        """Grow the frames where a committee disagrees."""
        return self.start_phases('active_learning')

    def pretrain(self) -> ExitCode | None:
        """Pre-train; the new compound is labelled meanwhile, if two programs may run."""
        return self.start_phases('pretrain', 'finetune_data')

    def label_new_compound(self) -> ExitCode | None:
        """Label the new compound, if that is still to be done."""
        return self.start_phases('finetune_data')

    def finetune_or_distill(self) -> ExitCode | None:
        """Distil and fine-tune side by side, unless the one needs the other."""
        if self.from_finetuned:
            return self.start_phases('finetune')
        return self.start_phases('distill', 'finetune')

    def distill_or_finetune(self) -> ExitCode | None:
        """Do what is left of the two."""
        return self.start_phases('distill', 'finetune')

    def simulate_conductor(self) -> ExitCode | None:
        """Run the student at several temperatures."""
        return self.start_phases('conductivity')

    def simulate_contrast(self) -> ExitCode | None:
        """Run the structure to compare with."""
        return self.start_phases('contrast')

    # -- their inputs -----------------------------------------------------------------------------------------------

    @property
    def from_finetuned(self) -> bool:
        """Whether the fine-tuned potential is the teacher."""
        return distills_from_finetuned(self.inputs)

    def handed_in_or_made(self, port: str, phase: str, output: str) -> Any:
        """Return what was handed in at ``port``, or else the ``output`` of ``phase``."""
        if not given(self.inputs, port):
            return self.ctx[phase].outputs[output]
        value = self.inputs
        for name in port.split('.'):
            value = value[name]
        return value

    def held_out(self, *names: str) -> dict[str, FramesData]:
        """Return those held-out frames that were handed in."""
        return {name: self.inputs[name] for name in names if name in self.inputs}

    def initial_data_inputs(self) -> dict[str, Any]:
        """Return the inputs of the initial data."""
        return {'structures': dict(self.inputs.structures), **labeller_of(self.inputs)}

    def active_learning_inputs(self) -> dict[str, Any]:
        """Return the inputs of the active learning."""
        frames = self.handed_in_or_made('frames', 'initial_data', 'frames')
        return {
            'frames': frames,
            'structures': dict(self.inputs.structures),
            **self.held_out('validation_data'),
            **labeller_of(self.inputs),
        }

    def pretrain_inputs(self) -> dict[str, Any]:
        """Return the inputs of the pre-training."""
        frames = self.handed_in_or_made('active_learning_frames', 'active_learning', 'frames')
        return {'frames': frames, **self.held_out('validation_data', 'test_data')}

    def finetune_data_inputs(self) -> dict[str, Any]:
        """Return the inputs of the labels of the new compound."""
        return {'structures': dict(self.inputs.finetune_structures), **labeller_of(self.inputs)}

    def finetune_inputs(self) -> dict[str, Any]:
        """Return the inputs of the fine-tuning."""
        return {
            'frames': self.handed_in_or_made('finetune_frames', 'finetune_data', 'frames'),
            'pretrained': self.handed_in_or_made('pretrained.checkpoint', 'pretrain', 'checkpoint'),
        }

    def distill_inputs(self) -> dict[str, Any]:
        """Return the inputs of the distillation: its test data are those of the teacher."""
        port, source = ('finetuned', 'finetune') if self.from_finetuned else ('pretrained.frozen', 'pretrain')
        structures = dict(self.inputs.conductor)
        if 'contrast' in self.inputs:
            structures['contrast'] = self.inputs.contrast
        inputs = {
            'teacher': self.handed_in_or_made(port, source, 'frozen'),
            'structures': structures,
            **self.held_out('test_data'),
        }
        if source in self.ctx:
            # What the teacher learned from shows the student where potentials go astray; what it did not, tests both.
            inputs['frames'] = self.ctx[source].outputs.training_data
            inputs.setdefault('test_data', self.ctx[source].outputs.test_data)
        return inputs

    def conductivity_inputs(self) -> dict[str, Any]:
        """Return the inputs of the conductor's dynamics."""
        return {
            'structures': dict(self.inputs.conductor),
            'potential': self.handed_in_or_made('student', 'distill', 'student'),
        }

    def contrast_inputs(self) -> dict[str, Any]:
        """Return the inputs of the contrast's dynamics."""
        structures = {'contrast': self.inputs.contrast}
        return {'structures': structures, 'potential': self.handed_in_or_made('student', 'distill', 'student')}

    # -- running them -----------------------------------------------------------------------------------------------

    def start_phases(self, *phases: str) -> ExitCode | None:
        """See to the phases that ran, then submit those of ``phases`` that wait, and divide the programs among them."""
        if code := self.collect():
            return code
        together = [phase for phase in phases if phase in self.ctx.waiting][: self.inputs.max_concurrent]
        for phase in together:
            process = self.PHASES[phase]
            inputs = {**getattr(self, f'{phase}_inputs')(), **self.shared(process, phase)}
            inputs['parameters'] = self.ctx.plan[phase]
            inputs['max_concurrent'] = max(1, self.inputs.max_concurrent // len(together))
            self.run_child(phase, process, inputs)
        self.ctx.waiting = [phase for phase in self.ctx.waiting if phase not in together]
        self.ctx.running = together
        return None

    def collect(self) -> ExitCode | None:
        """Attach what the last phases gave; one that did not converge is remarked on, a failed one ends the study."""
        failed = None
        for phase in self.ctx.running:
            node, process = self.ctx[phase], self.PHASES[phase]
            self.out_many(self.exposed_outputs(node, process, namespace=phase))
            if node.is_finished_ok:
                continue
            if (node.exit_status or 0) >= 600:
                self.ctx.remarks[phase] = node.exit_message
                self.report(f'{phase} did not converge, the study goes on with what it gave: {node.exit_message}')
                continue
            reason = node.exit_message or node.process_state.value
            failed = failed or self.exit_codes.ERROR_PHASE_FAILED.format(phase=phase, reason=reason)
            self.failure(node, failed)
        self.ctx.running = []
        return failed

    def summarize(self) -> ExitCode | None:
        """Attach the summary, and say whether there is a conductivity."""
        if code := self.collect():
            return code
        parts = {
            f'{phase}_{link.link_label}': link.node
            for phase in self.PHASES
            if phase in self.ctx
            for link in self.ctx[phase].base.links.get_outgoing(orm.Dict, link_type=LinkType.RETURN).all()
        }
        summary = summarize_electrolyte(
            parameters=self.inputs.parameters, **parts, metadata={'call_link_label': 'summarize'}
        )
        self.out('summary', summary)
        imprecise = ConductivityWorkChain.exit_codes.ERROR_IMPRECISE.status
        if 'conductivity' in self.ctx.remarks and self.ctx.conductivity.exit_status != imprecise:
            return self.exit_codes.ERROR_UNDETERMINED.format(reason=self.ctx.remarks['conductivity'])
        return None
