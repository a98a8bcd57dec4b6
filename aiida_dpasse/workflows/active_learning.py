"""`ActiveLearningWorkChain`: train a committee, explore, label what it does not know, again."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.plan_active_learning import plan_active_learning
from aiida_dpasse.functions.split_frames import split_frames
from aiida_dpasse.functions.stage_exploration import stage_exploration
from aiida_dpasse.functions.tabulate_iterations import tabulate_iterations
from aiida_dpasse.functions.union_frames import union_frames
from aiida_dpasse.workflows.active_learning_parameters import ActiveLearningParameters, validate_active_learning
from aiida_dpasse.workflows.checked_loop import CheckedLoopWorkChain
from aiida_dpasse.workflows.committee import CommitteeWorkChain
from aiida_dpasse.workflows.conductivity import ConductivityWorkChain
from aiida_dpasse.workflows.explore import ExploreWorkChain
from aiida_dpasse.workflows.label import LabelWorkChain
from aiida_dpasse.workflows.label_sources import BY_CODE, define_labeller, labeller_of
from aiida_dpasse.workflows.validators import validate_labelled, validate_structures


class ActiveLearningWorkChain(CheckedLoopWorkChain):
    """Train, explore, label, again: the frames grow where the committee disagrees."""

    CODES = ('dp', 'lmp', 'python')
    OPTIONAL_CODES = tuple(BY_CODE)
    PARAMETERS = ActiveLearningParameters
    PROTOCOL = 'active_learning'
    CHILDREN = {
        'committee': CommitteeWorkChain,
        'explore': ExploreWorkChain,
        'label': LabelWorkChain,
        'conductivity': ConductivityWorkChain,
    }

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input(
            'frames',
            valid_type=FramesData,
            validator=validate_labelled,
            help='Labelled frames to start from.',
        )
        spec.input(
            'validation_data',
            valid_type=FramesData,
            required=False,
            validator=validate_labelled,
            help='Labelled frames that are never learned from; by default a part of `frames` is held out.',
        )
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            validator=validate_structures,
            help='What is explored.',
        )
        define_labeller(spec)
        spec.inputs.validator = validate_active_learning
        spec.outline(
            cls.setup,
            while_(cls.goes_on)(
                cls.train_committee,
                cls.inspect_committee,
                cls.validate_committee,
                cls.inspect_validation,
                if_(cls.observes)(
                    cls.observe,
                    while_(cls.queue_left)(
                        cls.submit_observation,
                    ),
                    cls.inspect_observation,
                ),
                if_(cls.explores)(
                    cls.explore,
                    cls.inspect_exploration,
                    if_(cls.has_candidates)(
                        cls.label,
                        cls.inspect_labels,
                        if_(cls.calibrates)(
                            cls.evaluate_labels,
                            cls.calibrate,
                        ),
                    ),
                ),
                cls.judge,
            ),
            cls.results,
        )
        spec.output('frames', valid_type=FramesData, help='All labelled frames, those held out of `frames` included.')
        spec.output_namespace('potentials', valid_type=DeepPotentialData, help='The last committee.')
        spec.output('iterations', valid_type=orm.Dict, help='Table of the iterations, and the verdict on convergence.')
        spec.output('account', valid_type=orm.Dict, help='What became of every frame whose label was asked for.')
        exit_code(spec, 'ERROR_COMMITTEE_FAILED', message='The committee of iteration {index} failed: {reason}')
        exit_code(spec, 'ERROR_VALIDATION_FAILED', message='The held-out errors of iteration {index} failed: {reason}')
        exit_code(spec, 'ERROR_EXPLORATION_FAILED', message='The exploration of iteration {index} failed: {reason}')
        exit_code(spec, 'ERROR_LABEL_FAILED', message='The labels of iteration {index} failed: {reason}')
        exit_code(
            spec,
            'ERROR_ONLY_FAILURES',
            message='In iteration {index} all sampled frames failed: {reason}',
        )
        exit_code(
            spec,
            'ERROR_NOT_CONVERGED',
            message='Not converged in {count} iterations: {verdict} Accept the outputs, or go on from `frames`.',
        )
        exit_code(
            spec,
            'ERROR_NO_CANDIDATES',
            message='Two explorations in a row gave no new labelled frame without convergence: {verdict} Lower '
            'the trust levels or explore other conditions.',
        )

    def setup(self) -> None:
        """Plan all iterations and hold out frames for validation."""
        self.ctx.plan = plan_active_learning(
            self.inputs.parameters, self.inputs.frames, metadata={'call_link_label': 'plan'}
        )
        if 'validation_data' in self.inputs:
            training, self.ctx.held_out = self.inputs.frames, self.inputs.validation_data
        else:
            parts = split_frames(self.inputs.frames, self.ctx.plan['split'], metadata={'call_link_label': 'split'})
            training, self.ctx.held_out = parts['training'], parts['validation']
        self.ctx.iteration = 0
        self.ctx.final = False
        self.ctx.over = False
        self.ctx.barren = 0
        self.ctx.training = training
        self.ctx.first = training
        self.ctx.labelled = {}
        self.ctx.candidates = {}
        self.ctx.committee = {}
        self.ctx.parts = {}
        self.ctx.calibration = {}

    def explores(self) -> bool:
        """Whether this iteration explores: all but the final training do."""
        return not self.ctx.final

    def has_candidates(self) -> bool:
        """Whether the exploration chose frames to label."""
        return 'candidates' in self.ctx[self.key('explore')].outputs

    def committee_data(self) -> dict[str, Any]:
        """Return what is learned from, and what is held out."""
        return {'training_data': self.ctx.training, 'validation_data': self.ctx.held_out}

    def inspect_committee(self) -> ExitCode | None:
        """Take the committee, or give up."""
        code = super().inspect_committee()
        if code is None:
            self.ctx.parts[self.key('frames')] = self.ctx.training
        return code

    def explore(self) -> None:
        """Explore with the committee; what was labelled or refused before is not chosen again."""
        key = self.key('explore')
        inputs = {
            'structures': dict(self.inputs.structures),
            'potentials': self.ctx.committee,
            'known': {'frames': self.inputs.frames, 'held_out': self.ctx.held_out, **self.ctx.candidates},
            'calibration': self.ctx.calibration,
            'parameters': self.conditions(key),
            **self.shared(ExploreWorkChain, key),
        }
        self.run_child(key, ExploreWorkChain, inputs)

    def conditions(self, key: str) -> orm.Dict:
        """Return the parameters of the exploration, those of its stage if there are stages."""
        if 'stages' not in self.ctx.plan:
            return self.ctx.plan[key]
        tables = {'iterations': self.ctx.tables['iterations']} if self.ctx.iteration else {}
        metadata = {'call_link_label': self.key('conditions')}
        staged = stage_exploration(self.ctx.plan[key], self.ctx.plan['stages'], **tables, metadata=metadata)
        self.ctx.parts[self.key('stage')] = staged['stage']
        return staged['parameters']

    def inspect_exploration(self) -> ExitCode | None:
        """Take the statistics; give up if the exploration failed or found only failures."""
        node = self.ctx[self.key('explore')]
        if 'statistics' in node.outputs:
            self.ctx.parts[self.key('statistics')] = node.outputs.statistics
        if not node.is_finished_ok:
            barren = node.exit_status in ExploreWorkChain.get_exit_statuses(
                ['ERROR_NO_RUN_FINISHED', 'ERROR_ONLY_FAILURES']
            )
            return self.give_up(node, 'ERROR_ONLY_FAILURES' if barren else 'ERROR_EXPLORATION_FAILED')
        self.ctx.barren += 1  # until its labels are there
        return None

    def label(self) -> None:
        """Label the candidates."""
        key = self.key('label')
        candidates = self.ctx[self.key('explore')].outputs.candidates
        self.ctx.candidates[self.key('candidates')] = candidates
        inputs = {
            'frames': candidates,
            **labeller_of(self.inputs),
            'parameters': self.ctx.plan['label'],
            **self.shared(LabelWorkChain, key),
        }
        self.run_child(key, LabelWorkChain, inputs)

    def inspect_labels(self) -> ExitCode | None:
        """Add the labelled frames to those to learn from; what a failed labelling did admit is kept."""
        node = self.ctx[self.key('label')]
        if 'account' in node.outputs:
            self.ctx.parts[self.key('account')] = node.outputs.account
        if 'frames' in node.outputs:
            self.ctx.barren = 0
            self.ctx.labelled[self.key('labelled')] = node.outputs.frames
            self.ctx.training = union_frames(
                initial=self.ctx.first, **self.ctx.labelled, metadata={'call_link_label': self.key('union')}
            )
        if not node.is_finished_ok and not self.all_rejected(node):
            return self.give_up(node, 'ERROR_LABEL_FAILED')
        return None

    def all_rejected(self, node: orm.ProcessNode) -> bool:
        """Whether the labeller worked and every frame was too far out: that is known now, and the loop goes on."""
        none_admitted = LabelWorkChain.get_exit_statuses(['ERROR_NO_FRAME_ADMITTED'])
        if node.exit_status not in none_admitted or node.outputs.account['failed']:
            return False
        self.report(f'{node.process_label}<{node.pk}>: {node.exit_message}')
        return True

    def judge(self) -> None:
        """Write the table and decide whether the loop goes on."""
        self.tabulate()
        if self.ctx.tables['iterations']['pending']:
            self.ctx.barren = 0
        self.ctx.iteration += 1
        last = self.ctx.final or self.ctx.converged or self.ctx.barren == 2
        last = last or self.ctx.iteration == self.inputs.parameters['max_active_iterations']
        self.report(f'iteration {self.ctx.iteration - 1}: {self.ctx.verdict}')
        if last and not self.ctx.final and self.inputs.parameters['final_committee'] and self.ctx.labelled:
            self.ctx.final = True
        else:
            self.ctx.over = last

    def tabulate(self) -> None:
        """Make the table of what was done so far."""
        tables = tabulate_iterations(
            self.ctx.plan['convergence'], **self.ctx.parts, metadata={'call_link_label': self.key('table')}
        )
        self.ctx.tables = tables
        self.ctx.converged = tables['iterations']['converged']
        self.ctx.verdict = tables['iterations']['verdict']

    def attach(self) -> None:
        """Attach the frames, the last committee, the table and the account."""
        frames = self.inputs.frames
        if self.ctx.labelled:
            frames = union_frames(initial=frames, **self.ctx.labelled, metadata={'call_link_label': 'collect'})
        self.out('frames', frames)
        self.out('potentials', self.ctx.committee)
        self.out_many(self.ctx.tables)

    def give_up(self, node: orm.ProcessNode, name: str) -> ExitCode:
        """Make the table of what there is, attach it, and return the exit code ``name``."""
        self.tabulate()
        return super().give_up(node, name)

    def results(self) -> ExitCode | None:
        """Attach the outputs, converged or not."""
        self.attach()
        if self.ctx.converged:
            return None
        if self.ctx.barren == 2:
            return self.exit_codes.ERROR_NO_CANDIDATES.format(verdict=self.ctx.verdict)
        count = sum(key.startswith('statistics') for key in self.ctx.parts)
        return self.exit_codes.ERROR_NOT_CONVERGED.format(count=count, verdict=self.ctx.verdict)
