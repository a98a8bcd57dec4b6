"""`MigrateParser`: the migrated checkpoint and the names of the added tensors."""

from __future__ import annotations

import json
from typing import Any

from aiida import orm
from aiida.engine import ExitCode

from aiida_dpasse.calculations.driver import OUTPUT, RESULT, check_manifest
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.drivers.migrate import MIGRATED
from aiida_dpasse.parsers.base import JobParser


class MigrateParser(JobParser):
    """Parser of `MigrateCalculation`."""

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the checkpoint; the exit message explains why a checkpoint cannot be migrated."""
        repository = self.retrieved.base.repository
        try:
            result = json.loads(repository.get_object_content(RESULT))
            if result['error'] is not None:
                return self.exit_codes.ERROR_NOT_MIGRATED.format(reason=result['error'])
            if damage := check_manifest(self.retrieved):
                return self.exit_codes.ERROR_DAMAGED_OUTPUT.format(reason=damage)
            with repository.as_path(f'{OUTPUT}/{MIGRATED}') as path:
                self.out('potential', Potential.from_file(path, result['deepmd_version']))
            self.out('results', orm.Dict({name: result[name] for name in ('added', 'deepmd_version')}))
        except (OSError, ValueError, KeyError, TypeError) as exception:
            reason = f'{exception}; see the end of {self.node.get_option("scheduler_stderr")}'
            return self.exit_codes.ERROR_NO_RESULT.format(reason=reason)
        return None
