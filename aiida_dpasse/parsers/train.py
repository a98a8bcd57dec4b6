"""`TrainParser`: learning curve, potentials and how the training ended, also when it was killed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.deepmd.lcurve import LearningCurve, parse_lcurve
from aiida_dpasse.deepmd.training_log import parse_training_log


class TrainParser(Parser):
    """Parser of `TrainCalculation`."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach what the job left, and say how it ended: a truncated training keeps its curve and its checkpoint."""
        self.parameters = self.node.inputs.parameters.get_dict()
        self.folder = Path(kwargs['retrieved_temporary_folder'])
        self.log = parse_training_log(self._text(TrainCalculation.STDOUT))
        steps = int(self.parameters['input']['training']['numb_steps'])
        curve, problem = self._curve()
        broken = self._attach('checkpoint', TrainCalculation.CHECKPOINT)
        results: dict[str, Any] = {
            'backend': self.parameters['backend'],
            'numb_steps': steps,
            'checkpoint_step': self._checkpoint_step(),
            'finished': self.log.finished,
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
        if curve is not None and curve.diverged:
            return self.exit_codes.ERROR_DIVERGED.format(step=curve.first_not_finite)
        if self.log.out_of_memory:
            return self.exit_codes.ERROR_OUT_OF_MEMORY
        if self.log.finished and curve is not None:
            return None
        if self.log.error is not None:
            return self.exit_codes.ERROR_TRAINING_FAILED.format(reason=self.log.error)
        if self.log.started:
            step = max(results.get('step', 0), results['checkpoint_step'])
            return self.exit_codes.ERROR_INTERRUPTED.format(step=step, steps=results['numb_steps'])
        if curve is None:
            return self.exit_codes.ERROR_NO_LEARNING_CURVE.format(reason=problem)
        return None

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
                problem = self._attach(output, names[backend], required=True, log=log)
        return problem

    def _attach(self, output: str, name: str, required: bool = False, log: str = '') -> ExitCode | None:
        path = self.folder / name
        if not path.is_file():
            if not required:
                return None
            reason = parse_training_log(self._text(log)).error or 'the program left no file'
            return self.exit_codes.ERROR_NO_POTENTIAL.format(
                what=f'the {output} potential', reason=reason, file=f'`{log}`'
            )
        try:
            self.out(output, DeepPotentialData.from_file(path, deepmd_version=self.log.version))
        except ValueError as exception:
            reason = str(exception).rstrip('.')
            return self.exit_codes.ERROR_NO_POTENTIAL.format(
                what=f'the {output} potential', reason=reason, file=f'`{log or TrainCalculation.STDOUT}`'
            )
        return None

    def _curve(self) -> tuple[LearningCurve | None, str]:
        if TrainCalculation.CURVE not in self.retrieved.base.repository.list_object_names():
            return None, 'there is no `lcurve.out`'
        try:
            return parse_lcurve(self._text(TrainCalculation.CURVE)), ''
        except ValueError as exception:
            return None, str(exception).rstrip('.')

    def _checkpoint_step(self) -> int:
        if 'checkpoint' in self.outputs:
            return int(self.outputs['checkpoint'].step or 0)
        # TensorFlow writes the graph last: a checkpoint that has one is whole.
        found = [
            re.search(r'-(\d+)\.meta$', path.name) for path in self.folder.glob(f'{TrainCalculation.PREFIX}-*.meta')
        ]
        return max((int(match.group(1)) for match in found if match), default=0)

    def _text(self, name: str) -> str:
        if name not in self.retrieved.base.repository.list_object_names():
            return ''
        return str(self.retrieved.base.repository.get_object_content(name, mode='rb').decode(errors='replace'))
