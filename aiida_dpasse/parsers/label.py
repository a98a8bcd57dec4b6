"""`LabelParser`: the accepted frames and the account of all frames, also for a killed job."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_dpasse.calculations.driver import FRAMES, OUTPUT, RESULT, check_manifest
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.dataset import read_dataset
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.labels.admission import limits_of
from aiida_dpasse.labels.records import (
    FAILED,
    JOURNAL,
    REJECTED,
    collect,
    read_journal,
    requested_ids,
    without_cut_run,
)
from aiida_dpasse.parsers.base import JobParser


class LabelParser(JobParser):
    """Parser of `LabelCalculation`."""

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the frames and the account; those of a killed job are read from its journal."""
        names = self.retrieved.base.repository.list_object_names()
        if RESULT in names:
            try:
                result = json.loads(self.retrieved.base.repository.get_object_content(RESULT))
                account, error, stopped = result['account'], result['error'], result['stopped']
                if damage := check_manifest(self.retrieved):
                    return self.exit_codes.ERROR_DAMAGED_OUTPUT.format(reason=damage)
                sets = self._frames() if account['admitted'] else []
            except (ValueError, KeyError, TypeError) as exception:
                return self.exit_codes.ERROR_NO_RESULT.format(reason=str(exception))
        elif JOURNAL in names:
            limits = limits_of(self.node.inputs.parameters.get_dict(), self.node.inputs.frames.elements)
            given = self.node.inputs.frames.sets()
            records = read_journal(self.retrieved.base.repository.get_object_content(JOURNAL))
            records = without_cut_run(records, limits['dynamics'])
            sets, account = collect(records, given, requested_ids(given, limits['dynamics']), limits)
            error, stopped = None, False
        else:
            return self.exit_codes.ERROR_NO_RESULT.format(
                reason=f'there is no {RESULT}; see the end of {self.node.get_option("scheduler_stderr")}'
            )
        self.out('account', orm.Dict(account))
        if sets:
            self.out('frames', FramesData.from_sets(sets))
        if RESULT not in names or stopped:
            reason = 'it reached its time limit' if stopped else 'it was killed'
            return self.exit_codes.ERROR_INTERRUPTED.format(reason=reason)
        if error is not None:
            return self.exit_codes.ERROR_LABELLER.format(reason=error)
        if not sets:
            reason = [*account[FAILED], *account[REJECTED]][0]['reason']
            return self.exit_codes.ERROR_NO_FRAME_ADMITTED.format(requested=account['requested'], reason=reason)
        return None

    def _frames(self) -> list[FrameSet]:
        with tempfile.TemporaryDirectory() as directory:
            self.retrieved.base.repository.copy_tree(directory)
            return read_dataset(Path(directory) / OUTPUT / FRAMES)
