"""`MigrateCalculation`: update a checkpoint of an older DeePMD-kit without changing any of its values."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_dpasse.calculations.driver import DriverCalculation
from aiida_dpasse.calculations.staging import stage_potential, staged_name
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.exit_codes import exit_code


def validate_potential(potential: Potential | None, _: Any) -> str | None:
    """Return an error message if there is nothing to migrate."""
    if potential is None or potential.needs_migration:
        return None
    if not potential.is_checkpoint:
        return f'potential: it is {potential.form}, and only a checkpoint (`.pt`) can be migrated; give that.'
    return 'potential: it already has all that DeePMD-kit requires; use it directly.'


class MigrateCalculation(DriverCalculation):
    """Calculation job that updates a DPA-2 checkpoint of DeePMD-kit 3.0.

    It adds the empty tensors that DeePMD-kit 3.1 and later require.
    """

    DRIVER = 'migrate'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the ports and exit codes."""
        super().define(spec)
        spec.input('potential', valid_type=Potential, validator=validate_potential, help='DPA-2 checkpoint of 3.0.')
        spec.inputs['metadata']['options']['parser_name'].default = 'dpasse.migrate'
        spec.output('potential', valid_type=Potential, help='Migrated checkpoint, to freeze, fine-tune or evaluate.')
        spec.output(
            'results',
            valid_type=orm.Dict,
            help='`added`: names of the empty tensors; `deepmd_version` that requires them.',
        )
        spec.default_output_node = 'results'
        exit_code(
            spec,
            'ERROR_NOT_MIGRATED',
            message='The checkpoint cannot be migrated, since {reason}: use it with the DeePMD-kit that wrote it.',
        )

    def driver_job(self, folder: Folder) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
        """Return the job and the checkpoint to copy."""
        potential = self.inputs.potential
        return {'file': staged_name(potential, 'potential')}, [stage_potential(potential, 'potential')]
