"""`VerifyWorkChain`: compare a potential with labels of its own dynamics, and train it where they contradict it."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import run_queue
from aiida_dpasse.base.reasons import first_reason, reason_of
from aiida_dpasse.base.structures import (
    PlannedWorkChain,
    check_elements,
    define_cells,
    define_structures,
    sampled_frames,
)
from aiida_dpasse.base.validators import define_labelled
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.dynamics.md import lammps_run
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.explore.plan_verify import plan_verify
from aiida_dpasse.explore.tabulate_verify import tabulate_verify
from aiida_dpasse.explore.verify_parameters import VerifyParameters
from aiida_dpasse.frames.collect_samples import after_start, collect_samples
from aiida_dpasse.frames.draw_frames import draw_frames
from aiida_dpasse.frames.union_frames import union_frames
from aiida_dpasse.label.judge_by_labels import judge_by_labels
from aiida_dpasse.label.label import LabelWorkChain, labelling
from aiida_dpasse.label.sources import LABEL_CODES, define_labeller, validate_labeller
from aiida_dpasse.runs import Run
from aiida_dpasse.train.finetune import FinetuneWorkChain, validate_pretrained

#: The two forms of the potential, among the inputs, the outputs, and the outputs of a training.
FORMS = ('frozen', 'checkpoint')


def validate_verify(inputs: Any, port: Any = None) -> str | None:
    """Return an error message if the potential cannot run the structures, or cannot be trained further.

    :param inputs: inputs of the process.
    :param port: the port namespace.
    :return: the message, or None if the inputs are valid.
    """
    structures = inputs.get('structures', {})
    if message := validate_labeller(inputs, port) or check_elements('frozen', inputs.get('frozen'), structures):
        return message
    if 'parameters' not in inputs or not inputs['parameters']['max_rounds']:
        return None
    if missing := [name for name in ('checkpoint', 'training_data', 'test_data') if inputs.get(name) is None]:
        return f'{missing[0]}: it is required to train the potential further: give it, or set `max_rounds` to 0.'
    return validate_pretrained({'pretrained': inputs['checkpoint'], 'frames': inputs['training_data']})


class VerifyWorkChain(PlannedWorkChain):
    """Compare a potential with labels of frames that its own dynamics visits.

    The errors on a test set do not show where a potential is wrong outside of it. In each round the potential simulates
    every structure, frames of the runs are labelled, and its forces compared with the labels. If they are wrong, these
    frames are added to its training frames, it is trained further, and the next round begins.
    """

    CODES = (PROGRAM, 'lmp', 'python')
    OPTIONAL_CODES = ('torchrun', *LABEL_CODES)
    PARAMETERS = VerifyParameters
    PROTOCOL = 'verify'
    CHILDREN = {'label': LabelWorkChain, 'finetune': FinetuneWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_structures(spec, 'Initial structures of the runs.')
        spec.input(
            'frozen', valid_type=Potential, validator=validate_potentials, help='The potential, frozen for LAMMPS.'
        )
        spec.input(
            'checkpoint',
            valid_type=Potential,
            validator=validate_potentials,
            required=False,
            help='Checkpoint of the potential, from which it is trained further.',
        )
        define_labelled(spec, 'training_data', 'Frames on which the potential was trained.', required=False)
        define_labelled(spec, 'test_data', 'Labelled frames that test each training.', required=False)
        define_labeller(spec)
        spec.inputs.validator = validate_verify
        spec.outline(
            cls.setup,
            while_(cls.goes_on)(
                cls.simulate,
                run_queue(cls),
                cls.label,
                cls.evaluate,
                cls.judge,
                if_(cls.learns)(
                    cls.teach,
                    cls.take_taught,
                ),
            ),
            cls.results,
        )
        spec.output('frozen', valid_type=Potential, help='The potential after the last training, frozen.')
        spec.output('checkpoint', valid_type=Potential, required=False, help='Its checkpoint.')
        spec.output('training_data', valid_type=FramesData, required=False, help='Its training frames.')
        spec.output('test_data', valid_type=FramesData, required=False, help='The frames that test each training.')
        spec.output('visited', valid_type=FramesData, required=False, help='All frames that were labelled here.')
        spec.output('rounds', valid_type=orm.Dict, required=False, help='The error in each round, and the verdict.')
        define_cells(spec)
        exit_code(
            spec,
            'ERROR_NO_FRAME_SAMPLED',
            message='No run sampled a frame: use a shorter timestep, or train the potential longer. {reason}',
        )
        exit_code(spec, 'ERROR_LABEL_FAILED', message='No frame could be labelled: {reason}')
        exit_code(spec, 'ERROR_EVALUATION_FAILED', message='The potential could not be evaluated: {reason}')
        exit_code(spec, 'ERROR_TRAINING_FAILED', message='The training failed, correct `finetune`: {reason}')
        exit_code(
            spec,
            'ERROR_NOT_VERIFIED',
            message='{reason} Increase `max_rounds` or `frames`, or train the potential longer.',
        )

    def setup(self) -> ExitCode | None:
        """Plan all rounds, and make the supercells."""
        structures = self.namespace('structures')
        self.ctx.plan = plan_verify(self.inputs.parameters, structures=structures, metadata={'call_link_label': 'plan'})
        self.ctx.potential = {form: self.inputs[form] for form in FORMS if form in self.inputs}
        self.ctx.frames, self.ctx.round, self.ctx.over = self.inputs.get('training_data'), 0, False
        self.ctx.labelled, self.ctx.checks, self.ctx.errors = {}, {}, {}
        size = self.ctx.plan['supercell']
        return self.make_cells({label: (structure, size) for label, structure in structures.items()})

    def goes_on(self) -> bool:
        """Return whether there is another round."""
        return not self.ctx.over

    def step(self, what: str) -> Run:
        """Return the record of a step of this round."""
        return Run(what, iteration=self.ctx.round)

    # -- a round ----------------------------------------------------------------------------------------------------

    def simulate(self) -> None:
        """Queue the dynamics of every structure at every temperature."""
        self.enqueue('make_run', self.runs.select(what='md', iteration=self.ctx.round))

    def make_run(self, run: Run) -> Child:
        """Return one run of the potential."""
        potentials = {'potential': self.ctx.potential['frozen']}
        return lammps_run(self, run, self.ctx.cells[run.structure], potentials, self.ctx.plan['md'][run.id])

    def label(self) -> ExitCode | None:
        """Label some of the frames, also of runs that ended early."""
        failed = self.report_failures('md', iteration=self.ctx.round)
        samples = after_start(sampled_frames(self.ended('md', iteration=self.ctx.round)))
        if not samples:
            return self.exit_codes.ERROR_NO_FRAME_SAMPLED.format(reason=first_reason(failed))
        frames = collect_samples(samples=samples, metadata={'call_link_label': self.step('samples').label})
        draw = self.step('draw')
        if frames.frames > self.ctx.plan['draw'][draw.id]['number']:
            frames = draw_frames(frames, self.ctx.plan['draw'][draw.id], metadata={'call_link_label': draw.label})
        self.run_child('labels', *labelling(self, self.step('label').label, frames, self.ctx.plan['label']))
        return None

    def evaluate(self) -> ExitCode | None:
        """Compute the errors of the potential on these frames."""
        node = self.ctx.labels
        if 'frames' not in node.outputs:
            return self.exit_codes.ERROR_LABEL_FAILED.format(reason=reason_of(node))
        self.ctx.labelled[self.step('labelled').id] = node.outputs.frames
        potentials = {'potential': self.ctx.potential['frozen']}
        label, settings = self.step('evaluate').label, self.ctx.plan['evaluate']
        self.run_child('evaluation', *self.evaluation(label, potentials, node.outputs.frames, settings))
        return None

    def judge(self) -> ExitCode | None:
        """Compare forces and labels, and decide whether the potential is trained further."""
        node, labels = self.ctx.evaluation, self.ctx.labels
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_EVALUATION_FAILED.format(reason=reason_of(node))
        check = judge_by_labels(
            self.ctx.plan['limits'],
            labels.outputs.account,
            frames=labels.outputs.frames,
            errors=node.outputs.results,
            metadata={'call_link_label': self.step('judge').label},
        )
        self.ctx.checks[self.step('check').id] = check
        self.report(f'round {self.ctx.round}: forces wrong by {check["relative_error"]:.0%}')
        self.ctx.over = check['accepted'] or self.ctx.round == self.settings.max_rounds
        return None

    def learns(self) -> bool:
        """Return whether the potential is trained further."""
        return not self.ctx.over

    def teach(self) -> None:
        """Train the potential further, on its frames and the new ones."""
        self.ctx.frames = union_frames(
            frames={'known': self.ctx.frames, 'visited': self.ctx.labels.outputs.frames},
            metadata={'call_link_label': self.step('union').label},
        )
        inputs = {
            'frames': self.ctx.frames,
            'test_data': self.inputs.test_data,
            'pretrained': self.ctx.potential['checkpoint'],
            'parameters': self.ctx.plan['teach'][self.step('teach').id],
            **self.shared(FinetuneWorkChain, self.step('teach').label),
        }
        self.run_child('taught', FinetuneWorkChain, inputs)

    def take_taught(self) -> ExitCode | None:
        """Store the trained potential."""
        node = self.ctx.taught
        if not node.is_finished_ok:
            return self.failure(node, self.exit_codes.ERROR_TRAINING_FAILED.format(reason=reason_of(node)))
        self.ctx.potential = {form: node.outputs[form] for form in FORMS}
        self.ctx.errors[self.step('teach').id] = node.outputs.errors
        self.ctx.round += 1
        return None

    def results(self) -> ExitCode | None:
        """Attach the potential, its frames and the table of the rounds."""
        self.out_many(dict(self.ctx.potential))
        if self.ctx.frames is not None:
            self.out('training_data', self.ctx.frames)
        if 'test_data' in self.inputs:
            self.out('test_data', self.inputs.test_data)
        visited = next(iter(self.ctx.labelled.values()))
        if len(self.ctx.labelled) > 1:
            visited = union_frames(frames=dict(self.ctx.labelled), metadata={'call_link_label': 'visited'})
        self.out('visited', visited)
        rounds = tabulate_verify(
            checks=dict(self.ctx.checks), errors=dict(self.ctx.errors), metadata={'call_link_label': 'table'}
        )
        self.out('rounds', rounds)
        if rounds['accepted']:
            return None
        return self.exit_codes.ERROR_NOT_VERIFIED.format(reason=rounds['reason'])
