"""`EvaluateParser`: error tables, predictions, and the deviation of a committee."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_dpasse.calculations.driver import OUTPUT, RESULT, check_manifest
from aiida_dpasse.deepmd.arrays import read_archive
from aiida_dpasse.drivers.evaluate import DESCRIPTORS, DEVIATION, PREDICTIONS
from aiida_dpasse.parsers.base import JobParser


class EvaluateParser(JobParser):
    """Parser of `EvaluateCalculation`."""

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the output of the driver; an unusable potential is named in the exit message."""
        repository = self.retrieved.base.repository
        try:
            result = json.loads(repository.get_object_content(RESULT))
            error = result['error']
            if error is not None:
                return self.exit_codes.ERROR_POTENTIAL.format(**error)
            if damage := check_manifest(self.retrieved):
                return self.exit_codes.ERROR_DAMAGED_OUTPUT.format(reason=damage)
            self.out('predictions', self._arrays(PREDICTIONS))
            self.out('results', orm.Dict(result['results']))
            for name, file in (('deviation', DEVIATION), ('descriptors', DESCRIPTORS)):
                if file in repository.list_object_names(OUTPUT):
                    self.out(name, self._arrays(file))
        except (OSError, ValueError, KeyError, TypeError) as exception:
            reason = f'{exception}; see the end of {self.node.get_option("scheduler_stderr")}'
            return self.exit_codes.ERROR_NO_RESULT.format(reason=reason)
        return None

    def _arrays(self, name: str) -> orm.ArrayData:
        content = self.retrieved.base.repository.get_object_content(f'{OUTPUT}/{name}', mode='rb')
        node = orm.ArrayData()
        for key, array in read_archive(content, name).items():
            node.set_array(key, array)
        return node
