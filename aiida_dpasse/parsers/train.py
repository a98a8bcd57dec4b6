"""`TrainParser`: learning curve, potentials and exit code of a training, also of a killed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.deepmd.early_stop import REPORT as FLAT
from aiida_dpasse.deepmd.early_stop import flat_step
from aiida_dpasse.deepmd.lcurve import LearningCurve, parse_lcurve
from aiida_dpasse.deepmd.model_kind import lora_of
from aiida_dpasse.deepmd.restart import LATEST, REPORT, latest_step, none_was_whole, restarted_from
from aiida_dpasse.deepmd.training_log import parse_training_log
from aiida_dpasse.parsers.base import JobParser


class TrainParser(JobParser):
    """Parser of `TrainCalculation`."""

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the outputs and return the exit code.

        An interrupted training keeps its learning curve and checkpoint.
        """
        self.parameters = self.node.inputs.parameters.get_dict()
        self.folder = Path(kwargs['retrieved_temporary_folder'])
        self.log = parse_training_log(self.text(TrainCalculation.STDOUT))
        steps = int(self.parameters['input']['training']['numb_steps'])
        curve, problem = self._curve()
        broken = self._attach_checkpoint()
        checkpoint = self._checkpoint_step()
        # The last checkpoint ends a training, whether its program came to say so or not.
        finished = self.log.finished or checkpoint >= steps
        results: dict[str, Any] = {
            'backend': self.parameters['backend'],
            'numb_steps': steps,
            'checkpoint_step': checkpoint,
            'restarted_from': restarted_from(self.text(REPORT)),
            'finished': finished,
            'stopped_early': None if finished else flat_step(self.text(FLAT)),
            'lora': lora_of(self.parameters['input']),
            'deepmd_version': self.log.version,
            'seconds_per_step': self.log.seconds_per_step,
            'training_seconds': self.log.seconds,
        }
        if curve is not None:
            results |= {'step': int(curve.steps[-1]) if len(curve.steps) else 0, 'last': curve.last}
            array = orm.ArrayData()
            for name, values in curve.columns.items():
                array.set_array(name, values)
            self.out('learning_curve', array)
        self.out('results', orm.Dict(results))
        return self._verdict(curve, problem, results) or broken or self._attach_products()

    def _verdict(self, curve: LearningCurve | None, problem: str, results: dict[str, Any]) -> ExitCode | None:
        if none_was_whole(self.text(TrainCalculation.STDOUT)):
            return self.exit_codes.ERROR_NO_WHOLE_CHECKPOINT
        if self.log.diverged or (curve is not None and curve.diverged):
            # DeePMD-kit checks the gradients and may therefore stop before the learning curve shows a divergence.
            step = curve.first_diverged if curve is not None else None
            return self.exit_codes.ERROR_DIVERGED.format(step=results.get('step', 0) if step is None else step)
        if self.log.out_of_memory:
            return self.exit_codes.ERROR_OUT_OF_MEMORY
        if (results['finished'] or results['stopped_early']) and curve is not None:
            return None
        if self.log.error is not None:
            return self.exit_codes.ERROR_TRAINING_FAILED.format(reason=self.log.error)
        # The banner suffices: a scheduler may kill a job while it imports torch. A killed program may leave no log.
        if self.log.started or self.log.version is not None or curve is not None:
            step = max(results.get('step', 0), results['checkpoint_step'])
            return self.exit_codes.ERROR_INTERRUPTED.format(step=step, steps=results['numb_steps'])
        return self.exit_codes.ERROR_NO_LEARNING_CURVE.format(reason=problem)

    def _attach_products(self) -> ExitCode | None:
        backend = self.parameters['backend']
        wanted = {
            'frozen': (self.parameters.get('freeze', True), TrainCalculation.FROZEN, TrainCalculation.FREEZE_STDOUT),
            'compressed': (
                self.parameters.get('compress', False),
                TrainCalculation.COMPRESSED,
                TrainCalculation.COMPRESS_STDOUT,
            ),
        }
        problem = None
        for output, (asked, names, log) in wanted.items():
            if asked and problem is None:
                problem = self._attach(output, names[backend], log)
        return problem

    def _attach(self, output: str, name: str, log: str) -> ExitCode | None:
        path = self.folder / name
        try:
            if not path.is_file():
                raise ValueError(parse_training_log(self.text(log)).error or 'the program left no file')
            self.out(output, Potential.from_file(path, deepmd_version=self.log.version))
        except ValueError as exception:
            return self.exit_codes.ERROR_NO_POTENTIAL.format(
                what=f'the {output} potential', reason=str(exception).rstrip('.'), file=f'`{log}`'
            )
        return None

    def _attach_checkpoint(self) -> ExitCode | None:
        path = self.folder / TrainCalculation.CHECKPOINT
        if not path.is_file():
            return None
        try:
            self.out('checkpoint', Potential.from_file(path, deepmd_version=self.log.version))
        except ValueError as exception:
            step = self._checkpoint_step()
            return self.exit_codes.ERROR_BROKEN_CHECKPOINT.format(step=step, reason=str(exception).rstrip('.'))
        return None

    def _checkpoint_step(self) -> int:
        # The folder also contains the checkpoint from which the run was restarted.
        step = latest_step(self.text(LATEST), self.text(TrainCalculation.STDOUT))
        return max(step, restarted_from(self.text(REPORT)))

    def _curve(self) -> tuple[LearningCurve | None, str]:
        if TrainCalculation.CURVE not in self.retrieved.base.repository.list_object_names():
            return None, 'there is no `lcurve.out`'
        try:
            return parse_lcurve(self.text(TrainCalculation.CURVE)), ''
        except ValueError as exception:
            return None, str(exception).rstrip('.')
