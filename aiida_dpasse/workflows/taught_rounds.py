"""`TaughtRoundsWorkChain`: the student explores by itself, and its teacher corrects it until there is nothing left."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, Process

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.functions.collect_samples import collect_samples
from aiida_dpasse.functions.tabulate_rounds import tabulate_rounds
from aiida_dpasse.functions.union_frames import union_frames
from aiida_dpasse.workflows.label import LabelWorkChain
from aiida_dpasse.workflows.taught_frames import TaughtFramesWorkChain
from aiida_dpasse.workflows.train import TrainBaseWorkChain
from aiida_dpasse.workflows.validators import best_form


class TaughtRoundsWorkChain(TaughtFramesWorkChain):
    """Base of the distillation: train, let the student run, label its frames, train again; its middle.

    A student meets configurations that its teacher never visits, and what it was not taught there it makes up. The
    context holds ``round``, the frames ``taught`` in each and, of the last student, whether it is ``settled``.
    """

    def key(self, step: str) -> str:
        """Return the link label of ``step`` in this round; the first training is none."""
        return f'{step}_{self.ctx.round:02d}' if self.ctx.round else step

    def train(self) -> None:
        """Train a student on all that it was taught so far."""
        frames = self.ctx.parts['training']
        if self.ctx.taught:
            metadata = {'call_link_label': self.key('union')}
            frames = union_frames(initial=frames, **self.ctx.taught, metadata=metadata)
        inputs = {
            'code': self.inputs.codes.dp,
            'training_data': frames,
            'parameters': self.ctx.plan['train'],
            'metadata': {'options': self.options_for('train')},
        }
        if 'validation' in self.ctx.parts:
            inputs['validation_data'] = self.ctx.parts['validation']
        key = self.key('train')
        self.run_child('training', TrainBaseWorkChain, {'train': inputs, **self.restart(key)})

    def take_student(self) -> ExitCode | None:
        """Take the student, or give up."""
        training = self.ctx.training
        if not training.is_finished_ok:
            return self.failure(training, self.exit_codes.ERROR_TRAINING_FAILED)
        self.ctx.student = best_form(training.outputs)
        self.ctx.results |= {'student': self.ctx.student, 'learning_curve': training.outputs.learning_curve}
        return None

    def attach(self) -> None:
        """Attach the last student and what it learned from: once, since an output that is linked stays."""
        self.out_many(self.ctx.get('results', {}))

    def failure(self, node: orm.ProcessNode, code: ExitCode) -> ExitCode:
        """Report why a child failed, attach what there is, and return ``code``."""
        self.attach()
        return super().failure(node, code)

    def explores(self) -> bool:
        """Whether there is another round."""
        if 'rounds' not in self.ctx.plan or self.ctx.settled:
            return False
        return bool(self.ctx.round < self.ctx.plan['rounds']['maximum'])

    def explore(self) -> None:
        """Queue the student's runs from where its teacher's began."""
        self.ctx.round += 1
        runs = sorted(key for key in self.ctx.plan if key.startswith('md_'))
        self.enqueue('make_exploration', [self.key(key.replace('md', 'explore', 1)) for key in runs])

    def make_exploration(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the student's run ``explore_<start>_<round>``."""
        run = f'md_{key.split("_")[1]}'
        process, inputs = self.dynamics(run, self.ctx.student, 'student', key)
        return process, inputs

    def explorations(self) -> dict[str, Any]:
        """Return the runs of this round by key; also one that ended badly sampled frames, the most instructive."""
        end = f'_{self.ctx.round:02d}'
        done = self.ctx.done.items()
        return {key: node for key, node in done if key.startswith('explore_') and key.endswith(end)}

    def relabel(self) -> ExitCode | None:
        """Have the teacher label what the student sampled."""
        sampled = {}
        for key, node in self.explorations().items():
            if not node.is_finished_ok:
                self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
            # A run that exploded at once sampled nothing but its start.
            if 'frames' in node.outputs and node.outputs.frames.frames > 1:
                sampled[key] = node.outputs.frames
        if not sampled:
            self.attach()
            return self.exit_codes.ERROR_STUDENT_UNSTABLE
        samples = collect_samples(**sampled, metadata={'call_link_label': self.key('samples')})
        key = self.key('relabel')
        inputs = {'frames': samples, 'potential': self.inputs.teacher, 'parameters': self.ctx.plan['label']}
        self.run_child('relabelled', LabelWorkChain, {**inputs, **self.shared(LabelWorkChain, key)})
        return None

    def examine(self) -> ExitCode | None:
        """Compare the student with its teacher where it went by itself."""
        labels = self.ctx.relabelled
        none_admitted = LabelWorkChain.get_exit_statuses(['ERROR_NO_FRAME_ADMITTED'])
        if labels.exit_status in none_admitted:
            # It went where no label is trusted: worse cannot be taught.
            return self.failure(labels, self.exit_codes.ERROR_STUDENT_UNSTABLE)
        if not labels.is_finished_ok:
            return self.failure(labels, self.exit_codes.ERROR_LABEL_FAILED)
        inputs = {
            'code': self.inputs.codes.python,
            'potentials': {'student': self.ctx.student},
            'frames': labels.outputs.frames,
            'parameters': self.ctx.plan['evaluate'],
            'metadata': {'options': self.options_for('evaluate'), 'call_link_label': self.key('examine')},
        }
        self.run_child('examination', EvaluateCalculation, inputs)
        return None

    def settle(self) -> ExitCode | None:
        """Write the table, and say whether the student knows what it meets; if not, these frames are learned, too."""
        node, labels = self.ctx.examination, self.ctx.relabelled
        if not node.is_finished_ok:
            return self.failure(node, self.exit_codes.ERROR_EVALUATION_FAILED.format(key=self.key('examine')))
        end = f'_{self.ctx.round:03d}'
        self.ctx.table[f'errors{end}'] = node.outputs.results
        self.ctx.table[f'account{end}'] = labels.outputs.account
        for key, run in self.explorations().items():
            self.ctx.table[f'run_{key.split("_")[1]}{end}'] = run.outputs.results
        rounds = tabulate_rounds(
            self.ctx.plan['rounds'], **self.ctx.table, metadata={'call_link_label': self.key('table')}
        )
        self.ctx.results['rounds'] = rounds
        self.ctx.settled = rounds['settled']
        self.report(f'round {self.ctx.round}: {rounds["verdict"]}')
        self.ctx.taught[self.key('taught')] = labels.outputs.frames
        self.ctx.results['frames'] = union_frames(
            initial=self.ctx.labels.outputs.frames,
            **self.ctx.taught,
            metadata={'call_link_label': self.key('collect')},
        )
        return None

    def learns_more(self) -> bool:
        """Whether the student has to learn from what it met."""
        return not self.ctx.settled
