"""`TransportParser`: the statistics that the driver left."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_dpasse.calculations.driver import OUTPUT, RESULT
from aiida_dpasse.drivers.transport import STATISTICS


class TransportParser(Parser):
    """Parser of `TransportCalculation`."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach statistics and results."""
        repository = self.retrieved.base.repository
        if RESULT not in repository.list_object_names():
            return self.exit_codes.ERROR_NO_RESULT.format(
                reason=f'there is no {RESULT}; see the end of {self.node.get_option("scheduler_stderr")}'
            )
        try:
            content = json.loads(repository.get_object_content(RESULT))
            if content['error'] is not None:
                return self.exit_codes.ERROR_TRAJECTORY.format(reason=content['error'])
            results = dict(content['results'])
            with np.load(io.BytesIO(repository.get_object_content(f'{OUTPUT}/{STATISTICS}', mode='rb'))) as arrays:
                statistics = orm.ArrayData({name: arrays[name] for name in arrays.files})
        except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as exception:
            return self.exit_codes.ERROR_NO_RESULT.format(reason=str(exception))
        self.out('statistics', statistics)
        self.out('results', orm.Dict(results))
        return None
