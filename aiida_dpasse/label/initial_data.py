"""`InitialDataWorkChain`: the first labelled frames of a study, from perturbed crystals."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, if_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child, DpasseWorkChain
from aiida_dpasse.base.outline import run_queue
from aiida_dpasse.base.validators import validate_structures
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.close_contacts import close_contacts
from aiida_dpasse.frames.frames_from_structures import frames_from_structures
from aiida_dpasse.frames.perturb_structures import perturb_structures
from aiida_dpasse.frames.union_frames import union_frames
from aiida_dpasse.label.initial_data_parameters import InitialDataParameters, PerturbationParameters
from aiida_dpasse.label.label import LabelWorkChain, labelling
from aiida_dpasse.label.merge_accounts import add_accounts
from aiida_dpasse.label.plan_initial_data import plan_initial_data
from aiida_dpasse.label.relaxed_structures import relaxed_structures
from aiida_dpasse.label.sources import LABEL_CODES, define_labeller, validate_labeller
from aiida_dpasse.runs import Run

__all__ = ('InitialDataParameters', 'InitialDataWorkChain', 'PerturbationParameters')


class InitialDataWorkChain(DpasseWorkChain):
    """Generate the first labelled frames of a study from crystal structures.

    The crystals are relaxed (optional), repeated to supercells, scaled and perturbed. The perturbed copies, or samples
    of short dynamics that start from them, are labelled, and optionally copies in which two neighbouring atoms are
    pushed together.
    """

    OPTIONAL_CODES = LABEL_CODES
    PARAMETERS = InitialDataParameters
    PROTOCOL = 'initial_data'
    CHILDREN = {'label': LabelWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            validator=validate_structures,
            help='Ordered crystals by label; the label is stored as the source of their frames.',
        )
        define_labeller(spec)
        spec.inputs.validator = validate_labeller
        spec.outline(
            cls.setup,
            if_(cls.relaxes)(
                cls.relax,
                cls.inspect_relaxation,
            ),
            cls.perturb,
            cls.label,
            run_queue(cls),
            cls.results,
        )
        spec.output('frames', valid_type=FramesData, required=False, help='Labelled frames.')
        spec.output('account', valid_type=orm.Dict, required=False, help='Outcome of every frame.')
        exit_code(
            spec,
            'ERROR_RELAXATION_FAILED',
            message='The relaxation of a structure failed ({reason}). Increase `relax.steps`, or '
            'improve the initial structure.',
        )
        exit_code(spec, 'ERROR_STRUCTURES', message='The structures could not be perturbed. {reason}')
        exit_code(
            spec,
            'ERROR_LABEL_FAILED',
            message='The labelling failed: {reason} The labels of the other frames are attached.',
        )

    def setup(self) -> None:
        """Derive the parameters of the steps."""
        self.ctx.plan = plan_initial_data(self.inputs.parameters, metadata={'call_link_label': 'plan'})
        self.ctx.structures = dict(self.inputs.structures)

    def relaxes(self) -> bool:
        """Return whether the structures are relaxed first."""
        return 'relax' in self.ctx.plan

    def relax(self) -> None:
        """Relax the structures with the labeller."""
        frames = frames_from_structures(
            structures=self.namespace('structures'), metadata={'call_link_label': 'structures'}
        )
        self.run_child('relax', *labelling(self, 'relax', frames, self.ctx.plan['relax']))

    def inspect_relaxation(self) -> ExitCode | None:
        """Store the relaxed structures; the chain fails if any structure did not relax."""
        account = self.ctx.relax.outputs.account.get_dict() if 'account' in self.ctx.relax.outputs else {}
        if not self.ctx.relax.is_finished_ok or account['admitted'] < account['requested']:
            reasons = [entry['reason'] for state in ('rejected', 'failed') for entry in account.get(state, [])]
            reason = reasons[0] if reasons else self.ctx.relax.exit_message
            return self.exit_codes.ERROR_RELAXATION_FAILED.format(reason=reason)
        relaxed = relaxed_structures(self.ctx.relax.outputs.frames, metadata={'call_link_label': 'relaxed'})
        self.ctx.structures = dict(relaxed)
        return None

    def perturb(self) -> ExitCode | None:
        """Make the perturbed copies, and those with close contacts."""
        structures = dict(self.ctx.structures)
        try:
            perturbed = perturb_structures(
                self.ctx.plan['perturb'], structures=structures, metadata={'call_link_label': 'perturb'}
            )
        except ValueError as exception:
            return self.exit_codes.ERROR_STRUCTURES.format(reason=str(exception))
        self.ctx.frames = {'label': perturbed}
        if 'contacts' in self.ctx.plan:
            found = close_contacts(
                self.ctx.plan['contacts'], structures=structures, metadata={'call_link_label': 'contacts'}
            )
            if 'frames' in found:
                self.ctx.frames['label_contacts'] = found['frames']
        return None

    def label(self) -> None:
        """Queue the labels of the perturbed copies, or of dynamics that start from them, and of close contacts."""
        self.enqueue('make_labels', [Run(step) for step in self.ctx.frames])

    def make_labels(self, run: Run) -> Child:
        """Return the labelling of one kind of copies."""
        return labelling(self, run.what, self.ctx.frames[run.what], self.ctx.plan[run.what])

    def results(self) -> ExitCode | None:
        """Attach the labelled frames and the account, also if a labelling failed."""
        nodes = {run.what: node for step in self.ctx.frames for run, node in self.ended(step).items()}
        frames = {step: node.outputs.frames for step, node in nodes.items() if 'frames' in node.outputs}
        accounts = {step: node.outputs.account for step, node in nodes.items() if 'account' in node.outputs}
        if len(nodes) == 1:
            [outputs] = (node.outputs for node in nodes.values())
            self.out_many({name: outputs[name] for name in ('frames', 'account') if name in outputs})
        elif frames:
            self.out('frames', union_frames(**frames, metadata={'call_link_label': 'union'}))
        if len(nodes) > 1 and accounts:
            self.out('account', add_accounts(**accounts, metadata={'call_link_label': 'add'}))
        # Without its close contacts the data are poorer, not wrong; the account names what was rejected.
        if not (node := nodes['label']).is_finished_ok:
            return self.exit_codes.ERROR_LABEL_FAILED.format(reason=node.exit_message)
        return None
