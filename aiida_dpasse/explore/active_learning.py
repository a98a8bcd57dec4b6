"""`ActiveLearningWorkChain`: alternate training of a committee, exploration, and labelling of uncertain frames."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import run_queue
from aiida_dpasse.base.reasons import first_reason, reason_of
from aiida_dpasse.base.structures import define_structures
from aiida_dpasse.base.validators import (
    check_ion,
    check_same_computer,
    define_labelled,
)
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.explore.active_learning_parameters import ActiveLearningParameters
from aiida_dpasse.explore.committee import CommitteeWorkChain, validate_committee_training
from aiida_dpasse.explore.committee_loop import CommitteeLoopWorkChain
from aiida_dpasse.explore.compare_to_labels import compare_to_labels
from aiida_dpasse.explore.explore import ExploreWorkChain
from aiida_dpasse.explore.plan_active_learning import plan_active_learning
from aiida_dpasse.explore.stage_exploration import stage_exploration
from aiida_dpasse.explore.tabulate_iterations import KINDS, tabulate_iterations
from aiida_dpasse.frames.split_frames import split_frames
from aiida_dpasse.frames.union_frames import union_frames
from aiida_dpasse.label.label import LabelWorkChain, labelling
from aiida_dpasse.label.passport import define_passport, validate_passport
from aiida_dpasse.label.sources import BY_CODE, define_labeller, validate_labeller
from aiida_dpasse.parameters.sizes import part_size
from aiida_dpasse.runs import Run


def validate_active_learning(inputs: Any, _: Any = None) -> str | None:
    """Check that the inputs of an active learning are consistent.

    Exactly one labeller is required; a passport must be that of the labeller. The frames must be suitable for training
    and contain the elements of all structures, and the structures the mobile ion if its diffusion is monitored.

    :param inputs: inputs of `ActiveLearningWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    if message := validate_labeller(inputs) or validate_passport(inputs):
        return message
    elements = set(inputs['frames'].elements) if 'frames' in inputs else set()
    for label, structure in inputs.get('structures', {}).items():
        if missing := sorted(structure.get_symbols_set() - elements):
            return f'structures.{label}: `frames` does not contain {missing[0]}: add labelled frames with this element.'
    if 'parameters' not in inputs:
        return None
    settings = ActiveLearningParameters.model_validate(inputs['parameters'].get_dict())
    return _check_held_out(inputs, settings) or _check_training(inputs, settings) or _check_observed(inputs, settings)


def _check_held_out(inputs: Any, settings: ActiveLearningParameters) -> str | None:
    if 'frames' not in inputs or 'validation_data' in inputs:
        return None
    total = inputs['frames'].frames
    held_out = part_size(settings.validation, total)
    if 0 < held_out < total:
        return None
    return f'parameters: `validation` takes {held_out} of {total} frames: it should take some and leave some.'


def _check_training(inputs: Any, settings: ActiveLearningParameters) -> str | None:
    given = {'codes': inputs.get('codes', {}), 'parameters': orm.Dict(settings.committee.model_dump())}
    names = {'training_data': 'frames', 'validation_data': 'validation_data'}
    given |= {name: inputs[port] for name, port in names.items() if port in inputs}
    message = validate_committee_training(given)
    return message and f'parameters: `committee`: {message}'


def _check_observed(inputs: Any, settings: ActiveLearningParameters) -> str | None:
    """Check the inputs of the monitored dynamics, which the first committee member runs for every labeller."""
    if settings.conductivity is None:
        return None
    ion = settings.conductivity.transport.ion
    return check_same_computer(inputs) or check_ion(inputs.get('structures', {}), ion)


class ActiveLearningWorkChain(CommitteeLoopWorkChain):
    """Train a potential by active learning on frames for which a committee disagrees.

    Each iteration trains a committee, computes its errors on held-out frames, explores the structures with molecular
    dynamics, and labels the frames with a large deviation of the committee. The loop ends when the convergence criteria
    are met.
    """

    CODES = (PROGRAM, 'lmp', 'python')
    OPTIONAL_CODES = ('torchrun', *BY_CODE)
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
        define_labelled(spec, 'frames', 'Initial labelled frames.')
        define_labelled(
            spec,
            'validation_data',
            'Labelled frames for validation only; by default a part of `frames` is held out.',
            required=False,
        )
        define_structures(spec, 'Structures to explore.')
        define_labeller(spec)
        define_passport(spec)
        spec.inputs.validator = validate_active_learning
        spec.outline(
            cls.setup,
            while_(cls.goes_on)(
                cls.train_committee,
                cls.inspect_committee,
                cls.validate_and_explore,
                run_queue(cls),
                cls.inspect_validation,
                if_(cls.observes)(
                    cls.observe,
                    run_queue(cls),
                    cls.inspect_observation,
                ),
                if_(cls.explores)(
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
        spec.output('frames', valid_type=FramesData, help='All labelled frames, including those held out of `frames`.')
        spec.output_namespace('potentials', valid_type=Potential, help='The last committee.')
        spec.output('iterations', valid_type=orm.Dict, help='Table of the iterations, and the verdict on convergence.')
        spec.output('account', valid_type=orm.Dict, help='Account of every frame that was submitted for labelling.')
        exit_code(spec, 'ERROR_COMMITTEE_FAILED', message='The committee of iteration {index} failed: {reason}')
        exit_code(spec, 'ERROR_VALIDATION_FAILED', message='The validation of iteration {index} failed: {reason}')
        exit_code(spec, 'ERROR_EXPLORATION_FAILED', message='The exploration of iteration {index} failed: {reason}')
        exit_code(spec, 'ERROR_LABEL_FAILED', message='The labelling of iteration {index} failed: {reason}')
        exit_code(spec, 'ERROR_ONLY_FAILURES', message='In iteration {index} all sampled frames failed: {reason}')
        exit_code(
            spec,
            'ERROR_NOT_CONVERGED',
            message='Not converged in {count} iterations: {verdict} Accept the outputs, or continue from `frames`.',
        )
        exit_code(
            spec,
            'ERROR_NO_CANDIDATES',
            message='Two consecutive explorations gave no new labelled frame without convergence: {verdict} Decrease '
            'the trust levels or explore other conditions.',
        )

    def setup(self) -> None:
        """Derive the parameters of all iterations and hold out frames for validation."""
        self.ctx.plan = plan_active_learning(
            self.inputs.parameters,
            self.inputs.frames,
            structures=self.namespace('structures'),
            metadata={'call_link_label': 'plan'},
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
        self.ctx.calibration = {}
        self.ctx.unobserved = ''
        # Nodes of all iterations by kind and by the id of their record.
        self.ctx.parts = {kind: {} for kind in (*KINDS, 'transport')}

    def note(self, kind: str, node: orm.Data) -> None:
        """Keep a node of this iteration for the table."""
        self.ctx.parts[kind][self.run_of('iteration').id] = node

    def committee_data(self) -> dict[str, Any]:
        """Return training and validation frames."""
        return {'training_data': self.ctx.training, 'validation_data': self.ctx.held_out}

    def inspect_committee(self) -> ExitCode | None:
        """Store the committee, or end the chain if its training failed."""
        code = super().inspect_committee()
        if code is None:
            self.note('frames', self.ctx.training)
        return code

    def validate_and_explore(self) -> None:
        """Queue the evaluation of the committee on the held-out frames, and the exploration of this iteration."""
        self.enqueue('make_validation', [self.run_of('evaluate')])
        if self.explores():
            self.enqueue('make_exploration', [self.run_of('explore')])

    def explores(self) -> bool:
        """Return whether this iteration explores; all do except the final training."""
        return not self.ctx.final

    def make_validation(self, run: Run) -> Child:
        """Return the evaluation of the committee on the held-out frames."""
        return self.prediction(run, self.ctx.held_out)

    def inspect_validation(self) -> ExitCode | None:
        """Store the errors, or end the chain if the evaluation failed."""
        node = self.child('evaluate')
        if not node.is_finished_ok:
            return self.give_up(node, 'ERROR_VALIDATION_FAILED')
        self.note('errors', node.outputs.results)
        return None

    def observes(self) -> bool:
        """Return whether the diffusion of the ions is monitored."""
        return self.settings.conductivity is not None

    def observe(self) -> None:
        """Queue molecular dynamics of every structure with the first member of the committee."""
        self.enqueue('make_observation', self.runs.select(what='transport', iteration=self.ctx.iteration))

    def make_observation(self, run: Run) -> Child:
        """Return the molecular dynamics of one structure."""
        inputs = {
            'structures': {run.structure: self.inputs.structures[run.structure]},
            'potential': self.ctx.committee[min(self.ctx.committee)],
            'parameters': self.ctx.plan['conductivity'],
            **self.shared(ConductivityWorkChain, run.label),
        }
        return ConductivityWorkChain, inputs

    def inspect_observation(self) -> None:
        """Store the diffusion coefficients.

        If some are missing, the loop is not converged and the verdict states why.
        """
        fields = {'iteration': self.ctx.iteration}
        self.ctx.unobserved = first_reason(self.report_failures('transport', **fields))
        for run, node in self.ended('transport', **fields).items():
            if 'transport' in node.outputs:
                self.ctx.parts['transport'][run.id] = node.outputs.transport

    def make_exploration(self, run: Run) -> Child:
        """Return the exploration with the committee; it selects no frame that was labelled or rejected before."""
        inputs = {
            'structures': self.namespace('structures'),
            'potentials': self.ctx.committee,
            'known': {'frames': self.inputs.frames, 'held_out': self.ctx.held_out, **self.ctx.candidates},
            'calibration': self.ctx.calibration,
            'parameters': self.conditions(run),
            **self.shared(ExploreWorkChain, run.label),
        }
        return ExploreWorkChain, inputs

    def conditions(self, run: Run) -> orm.Dict:
        """Return the parameters of the exploration, with those of its stage if there are stages."""
        parameters = self.ctx.plan['explore'][run.id]
        if 'stages' not in self.ctx.plan:
            return parameters
        tables = {'iterations': self.ctx.tables['iterations']} if self.ctx.iteration else {}
        staged = stage_exploration(parameters, self.ctx.plan['stages'], **tables, metadata=self.link('conditions'))
        self.note('stages', staged['stage'])
        return staged['parameters']

    def inspect_exploration(self) -> ExitCode | None:
        """Store the statistics; end the chain if the exploration failed or found only failed frames."""
        node = self.child('explore')
        if 'statistics' in node.outputs:
            self.note('statistics', node.outputs.statistics)
        if not node.is_finished_ok:
            barren = node.exit_status in ExploreWorkChain.get_exit_statuses(
                ['ERROR_NO_RUN_FINISHED', 'ERROR_ONLY_FAILURES']
            )
            return self.give_up(node, 'ERROR_ONLY_FAILURES' if barren else 'ERROR_EXPLORATION_FAILED')
        self.ctx.barren += 1  # reset once there are new labels
        return None

    def has_candidates(self) -> bool:
        """Return whether the exploration selected frames for labelling."""
        return 'candidates' in self.child('explore').outputs

    def label(self) -> None:
        """Label the candidates."""
        run = self.run_of('label')
        candidates = self.child('explore').outputs.candidates
        self.ctx.candidates[self.run_of('candidates').id] = candidates
        self.run_child(run.id, *labelling(self, run.label, candidates, self.ctx.plan['label']))

    def inspect_labels(self) -> ExitCode | None:
        """Add the labelled frames to the training frames, including those that a failed labelling accepted."""
        node = self.child('label')
        if 'account' in node.outputs:
            self.note('accounts', node.outputs.account)
        if 'frames' in node.outputs:
            self.ctx.barren = 0
            self.ctx.labelled[self.run_of('labelled').id] = node.outputs.frames
            self.ctx.training = union_frames(
                frames={'initial': self.ctx.first, **self.ctx.labelled}, metadata=self.link('union')
            )
        if not node.is_finished_ok and not self.all_rejected(node):
            return self.give_up(node, 'ERROR_LABEL_FAILED')
        return None

    def all_rejected(self, node: orm.ProcessNode) -> bool:
        """Return whether the labeller worked and rejected every frame, in which case the loop continues."""
        none_admitted = LabelWorkChain.get_exit_statuses(['ERROR_NO_FRAME_ADMITTED'])
        if node.exit_status not in none_admitted or node.outputs.account['failed']:
            return False
        self.report(reason_of(node))
        return True

    def calibrates(self) -> bool:
        """Return whether trust levels are calibrated and this iteration labelled frames."""
        return self.settings.explore.trust.mode == 'calibrated' and self.run_of('labelled').id in self.ctx.labelled

    def evaluate_labels(self) -> None:
        """Predict the newly labelled frames with the committee that selected them."""
        run = self.run_of('truth')
        self.run_child(run.id, *self.prediction(run, self.ctx.labelled[self.run_of('labelled').id]))

    def calibrate(self) -> None:
        """Compare errors and deviations; if the evaluation failed, the trust levels remain unchanged."""
        node = self.child('truth')
        if not node.is_finished_ok:
            self.report(f'{reason_of(node)} The trust levels remain unchanged.')
            return
        self.ctx.calibration[self.run_of('pairs').id] = compare_to_labels(
            self.ctx.labelled[self.run_of('labelled').id],
            node.outputs.predictions,
            potentials=self.ctx.committee,
            metadata=self.link('compare'),
        )

    def judge(self) -> None:
        """Update the table and decide whether the loop continues."""
        self.tabulate()
        if self.ctx.tables['iterations']['pending']:
            self.ctx.barren = 0
        settings = self.settings
        self.report(f'iteration {self.ctx.iteration}: {self.ctx.verdict}')
        self.ctx.iteration += 1
        last = self.ctx.final or self.ctx.converged or self.ctx.barren == 2
        last = last or self.ctx.iteration == settings.max_active_iterations
        if last and not self.ctx.final and settings.final_committee and self.ctx.labelled:
            self.ctx.final = True
        else:
            self.ctx.over = last

    def tabulate(self) -> None:
        """Make the table of the iterations so far."""
        self.ctx.tables = tabulate_iterations(
            self.ctx.plan['convergence'], self.ctx.plan['runs'], **self.ctx.parts, metadata=self.link('table')
        )
        self.ctx.converged = self.ctx.tables['iterations']['converged']
        self.ctx.verdict = ' '.join(filter(None, (self.ctx.tables['iterations']['verdict'], self.ctx.unobserved)))

    def attach(self) -> None:
        """Attach the frames, the last committee, the table and the account."""
        frames = self.inputs.frames
        if self.ctx.labelled:
            frames = union_frames(
                frames={'initial': frames, **self.ctx.labelled}, metadata={'call_link_label': 'collect'}
            )
        self.out('frames', frames)
        self.out('potentials', self.ctx.committee)
        self.out_many(self.ctx.tables)

    def give_up(self, node: orm.ProcessNode, name: str) -> ExitCode:
        """Make the table of the iterations so far, attach it, and return the exit code ``name``."""
        self.tabulate()
        return super().give_up(node, name)

    def results(self) -> ExitCode | None:
        """Attach the outputs, whether or not the loop converged."""
        self.attach()
        if self.ctx.converged:
            return None
        if self.ctx.barren == 2:
            return self.exit_codes.ERROR_NO_CANDIDATES.format(verdict=self.ctx.verdict)
        count = len(self.ctx.parts['statistics'])
        return self.exit_codes.ERROR_NOT_CONVERGED.format(count=count, verdict=self.ctx.verdict)
