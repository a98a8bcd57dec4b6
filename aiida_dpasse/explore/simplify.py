"""`SimplifyWorkChain`: select the informative part of a large labelled dataset."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.validators import define_labelled
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.explore.committee import CommitteeWorkChain, validate_committee_training
from aiida_dpasse.explore.committee_loop import CommitteeLoopWorkChain
from aiida_dpasse.explore.plan_simplify import plan_simplify
from aiida_dpasse.explore.select_informative import select_informative
from aiida_dpasse.explore.simplify_parameters import SimplifyParameters
from aiida_dpasse.explore.tabulate_simplify import tabulate_simplify
from aiida_dpasse.frames.split_frames import split_frames
from aiida_dpasse.frames.union_frames import union_frames
from aiida_dpasse.parameters.sizes import part_size


def validate_simplify(inputs: Any, _: Any = None) -> str | None:
    """Check that the initial frames are a part of all frames and can be trained on.

    :param inputs: inputs of `SimplifyWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    if 'frames' not in inputs or 'parameters' not in inputs:
        return None
    settings, total = SimplifyParameters.model_validate(inputs['parameters'].get_dict()), inputs['frames'].frames
    first = part_size(settings.initial, total)
    if not 0 < first < total:
        return f'parameters: `initial` takes {first} of {total} frames: it should take some and leave some.'
    message = validate_committee_training(
        {
            'codes': inputs.get('codes', {}),
            'training_data': inputs['frames'],
            'parameters': orm.Dict(settings.committee.model_dump()),
        }
    )
    return message and f'parameters: `committee`: {message}'


class SimplifyWorkChain(CommitteeLoopWorkChain):
    """Select the informative frames of a large labelled dataset.

    A committee is trained on a few frames. Frames on which its members disagree are added and the committee is trained
    again, until its predictions on the remaining frames are accurate.
    """

    CODES = (PROGRAM, 'python')
    OPTIONAL_CODES = ('torchrun',)
    PARAMETERS = SimplifyParameters
    PROTOCOL = 'simplify'
    CHILDREN = {'committee': CommitteeWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_labelled(spec, 'frames', 'Labelled frames to select from.')
        spec.inputs.validator = validate_simplify
        spec.outline(
            cls.setup,
            while_(cls.goes_on)(
                cls.train_committee,
                cls.inspect_committee,
                cls.evaluate_rest,
                cls.inspect_rest,
            ),
            cls.results,
        )
        spec.output('frames', valid_type=FramesData, help='The selected frames, with their labels.')
        spec.output('rest', valid_type=FramesData, required=False, help='The frames that were not selected.')
        spec.output_namespace('potentials', valid_type=Potential, help='The last committee.')
        spec.output(
            'iterations',
            valid_type=orm.Dict,
            help='Table: number of training frames, and numbers of the remaining frames that are accurate, candidate, '
            'failed and chosen.',
        )
        exit_code(spec, 'ERROR_COMMITTEE_FAILED', message='The committee of iteration {index} failed: {reason}')
        exit_code(spec, 'ERROR_EVALUATION_FAILED', message='The evaluation of iteration {index} failed: {reason}')
        exit_code(
            spec,
            'ERROR_NOT_CONVERGED',
            message='Not converged in {count} iterations: the accurate fraction {fraction:.3f} of the remaining frames '
            'is below {wanted:.3f}. Accept the outputs, or use more iterations or more frames in each.',
        )

    def setup(self) -> None:
        """Derive the parameters of all iterations and draw the initial frames."""
        self.ctx.plan = plan_simplify(self.inputs.parameters, self.inputs.frames, metadata={'call_link_label': 'plan'})
        parts = split_frames(self.inputs.frames, self.ctx.plan['split'], metadata={'call_link_label': 'split'})
        self.ctx.chosen = {'initial': parts['validation']}
        self.ctx.training, self.ctx.rest = parts['validation'], parts['training']
        self.ctx.iteration, self.ctx.over = 0, False
        self.ctx.committee = {}
        self.ctx.parts = {'frames': {}, 'statistics': {}}

    def evaluate_rest(self) -> None:
        """Compute the deviation of the committee on all other frames."""
        run = self.run_of('evaluate')
        self.run_child(run.id, *self.prediction(run, self.ctx.rest))

    def inspect_rest(self) -> ExitCode | None:
        """Add the frames with a large deviation, unless enough of the rest is accurate."""
        node = self.child('evaluate')
        if not node.is_finished_ok:
            return self.give_up(node, 'ERROR_EVALUATION_FAILED')
        run, settings = self.run_of('iteration'), self.settings
        choice = self.ctx.plan['select'][self.run_of('select').id]
        selected = select_informative(self.ctx.rest, node.outputs.deviation, choice, metadata=self.link('select'))
        statistics = selected['statistics']
        self.ctx.parts['frames'][run.id] = self.ctx.training
        self.ctx.parts['statistics'][run.id] = statistics
        self.ctx.fraction = statistics['accurate'] / statistics['sampled']
        self.report(f'iteration {self.ctx.iteration}: {self.ctx.fraction:.3f} of the remaining frames are accurate.')
        enough = self.ctx.fraction >= settings.accurate_fraction
        if not enough and 'chosen' in selected:
            self.ctx.chosen[self.run_of('chosen').id] = selected['chosen']
            self.ctx.training = union_frames(frames=self.ctx.chosen, metadata=self.link('union'))
            self.ctx.rest = selected.get('rest')
        self.ctx.iteration += 1
        last = self.ctx.iteration == settings.max_simplify_iterations
        self.ctx.over = enough or last or 'chosen' not in selected or 'rest' not in selected
        return None

    def attach(self) -> None:
        """Attach the frames selected so far, and the table."""
        self.out('frames', self.ctx.training)
        if self.ctx.rest is not None:
            self.out('rest', self.ctx.rest)
        self.out('potentials', self.ctx.committee)
        table = tabulate_simplify(self.ctx.plan['runs'], **self.ctx.parts, metadata={'call_link_label': 'table'})
        self.out('iterations', table)

    def results(self) -> ExitCode | None:
        """Attach the outputs, whether or not the loop converged."""
        self.attach()
        wanted = self.settings.accurate_fraction
        if self.ctx.fraction >= wanted or self.ctx.rest is None:
            return None
        return self.exit_codes.ERROR_NOT_CONVERGED.format(
            count=self.ctx.iteration, fraction=self.ctx.fraction, wanted=wanted
        )
