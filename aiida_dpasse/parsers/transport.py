"""`TransportParser`: the displacement statistics of one run as arrays."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_dpasse.calculations.driver import OUTPUT, RESULT, check_manifest
from aiida_dpasse.deepmd.arrays import read_archive
from aiida_dpasse.drivers.transport import STATISTICS
from aiida_dpasse.parsers.base import JobParser


class TransportParser(JobParser):
    """Parser of `TransportCalculation`."""

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the arrays and the corresponding scalar results."""
        repository = self.retrieved.base.repository
        try:
            result = json.loads(repository.get_object_content(RESULT))
            reason = result.pop('error')
            if reason is not None and result.get('damaged'):
                return self.exit_codes.ERROR_DAMAGED_OUTPUT.format(reason=reason)
            if reason is not None:
                return self.exit_codes.ERROR_TRAJECTORY.format(reason=reason)
            if damage := check_manifest(self.retrieved):
                return self.exit_codes.ERROR_DAMAGED_OUTPUT.format(reason=damage)
            arrays = read_archive(repository.get_object_content(f'{OUTPUT}/{STATISTICS}', mode='rb'), STATISTICS)
        except (OSError, ValueError, KeyError, AttributeError) as exception:
            return self.exit_codes.ERROR_NO_RESULT.format(reason=str(exception))
        self.out('results', orm.Dict(result))
        self.out('statistics', orm.ArrayData(arrays))
        return None
