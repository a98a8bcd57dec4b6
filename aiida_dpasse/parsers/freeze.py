"""`FreezeParser`: the frozen and the compressed potential."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida.engine import ExitCode

from aiida_dpasse.calculations.freeze import FreezeCalculation, FreezeParameters
from aiida_dpasse.data.engine import Potential, version_of
from aiida_dpasse.deepmd.training_log import parse_training_log
from aiida_dpasse.parsers.base import JobParser


class FreezeParser(JobParser):
    """Parser of `FreezeCalculation`."""

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the potentials; the exit message for a missing one contains the reason given by DeePMD-kit."""
        parameters = FreezeParameters.model_validate(self.node.inputs.parameters.get_dict())
        wanted = [('frozen', FreezeCalculation.FROZEN, FreezeCalculation.STDOUT)]
        if parameters.compress:
            wanted.append(('compressed', FreezeCalculation.COMPRESSED, FreezeCalculation.COMPRESS_STDOUT))
        folder = Path(kwargs['retrieved_temporary_folder'])
        for output, name, file in wanted:
            log = parse_training_log(self.text(file))
            names = {'what': f'the {output} potential', 'file': f'`{file}`'}
            if log.error is not None:
                return self.exit_codes.ERROR_NOT_FROZEN.format(reason=log.error.rstrip('.'), **names)
            try:
                version = log.version or version_of(self.node.inputs.code)
                self.out(output, Potential.from_file(folder / name, deepmd_version=version))
            except ValueError:
                return self.exit_codes.ERROR_NO_RESULT.format(**names)
        return None
