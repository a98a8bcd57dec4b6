"""`ScanParser`: descriptors and landscape of a crystal."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode

from aiida_dpasse.calculations.driver import OUTPUT, RESULT, check_manifest
from aiida_dpasse.deepmd.arrays import read_archive
from aiida_dpasse.drivers.scan import LANDSCAPE
from aiida_dpasse.parsers.base import JobParser


class ScanParser(JobParser):
    """Parser of `ScanCalculation`."""

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the results and the landscape."""
        repository = self.retrieved.base.repository
        try:
            result = json.loads(repository.get_object_content(RESULT))
            if result['error'] is not None:
                return self.exit_codes.ERROR_CALCULATOR.format(reason=result['error'])
            if damage := check_manifest(self.retrieved):
                return self.exit_codes.ERROR_DAMAGED_OUTPUT.format(reason=damage)
            if result['stopped']:
                return self.exit_codes.ERROR_INTERRUPTED
            content = repository.get_object_content(f'{OUTPUT}/{LANDSCAPE}', mode='rb')
            landscape = orm.ArrayData()
            for name, array in read_archive(content, LANDSCAPE).items():
                landscape.set_array(name, array)
            landscape.set_array('cell_A', np.array(self.node.inputs.structure.cell))
            self.out('results', orm.Dict(result['results']))
            self.out('landscape', landscape)
        except (OSError, ValueError, KeyError, TypeError) as exception:
            reason = f'{exception}; see the end of {self.node.get_option("scheduler_stderr")}'
            return self.exit_codes.ERROR_NO_RESULT.format(reason=reason)
        return None
