"""`ScanCalculation`: the energy landscape of the mobile ions of a crystal, each scanned with all other atoms held."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_dpasse.calculations.driver import OUTPUT, DriverCalculation
from aiida_dpasse.calculations.label import (
    CALCULATOR_HELP,
    check_allowed,
    time_to_run,
    validate_calculator,
    validate_teacher,
)
from aiida_dpasse.calculations.md import symbols_of, validate_structure
from aiida_dpasse.calculations.staging import stage_potential, staged_name
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.drivers.scan import EARLIER, ENERGIES
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.landscape.spacegroup import symmetry_of
from aiida_dpasse.parameters.base import given, parameters_validator
from aiida_dpasse.parameters.scan import ScanParameters


def validate_inputs(inputs: Any, _: Any = None) -> str | None:
    """Return an error message unless a calculator or a potential is given, and the structure holds the ion.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    inputs = given(inputs)
    if 'structure' not in inputs or 'parameters' not in inputs:
        return None  # a work chain exposes these ports without all of them
    if ('calculator' in inputs) == ('potential' in inputs):
        found = 'both are' if 'calculator' in inputs else 'neither is'
        return f'calculator, potential: give one of them to scan with; {found} given.'
    structure = inputs['structure']
    ion = ScanParameters.model_validate(inputs['parameters'].get_dict()).ion
    if message := check_mobile('structure', structure, ion):
        return message
    if message := check_allowed(
        inputs.get('calculator'), inputs.get('code'), inputs.get('metadata', {}).get('options')
    ):
        return message
    return validate_teacher({**inputs, 'structures': {'structure': structure}})


def check_mobile(port: str, structure: orm.StructureData, ion: str) -> str | None:
    """Check that a structure holds the mobile ion.

    :param port: name of the port, for the message.
    :param structure: the structure.
    :param ion: element of the ion.
    """
    if ion in structure.get_symbols_set():
        return None
    return f'{port}: it holds no {ion}: remove it, or correct `ion` in the parameters.'


class ScanCalculation(DriverCalculation):
    """Calculation job that scans a crystal with its mobile ions, with an ASE calculator or a DeePMD potential."""

    DRIVER = 'scan'
    MODULES = (
        'deepmd.frameset',
        'drivers.calculators',
        'drivers.labellers',
        'labels.admission',
        'landscape.descriptors',
        'landscape.grid',
        'landscape.level_map',
        'landscape.percolation',
        'landscape.scan',
        'quoting',
        'seeds',
        'structures.distances',
        'unreadable',
    )

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the ports and exit codes."""
        super().define(spec)
        spec.input('structure', valid_type=orm.StructureData, validator=validate_structure, help='Ordered crystal.')
        spec.input(
            'calculator',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            validator=validate_calculator,
            help=CALCULATOR_HELP,
        )
        spec.input(
            'potential',
            valid_type=Potential,
            validator=validate_potentials,
            required=False,
            help='Potential that scans, instead of a calculator.',
        )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Dict({}),
            validator=parameters_validator(ScanParameters),
            help='The mobile ion, the grid, and the level up to which the landscape is calculated.',
        )
        spec.input(
            'earlier',
            valid_type=orm.FolderData,
            required=False,
            help='Files of an interrupted job with the same inputs, whose energies are not calculated again.',
        )
        spec.inputs['metadata']['options']['parser_name'].default = 'dpasse.scan'
        spec.inputs.validator = validate_inputs
        spec.output(
            'results',
            valid_type=orm.Dict,
            help='The descriptor `xi`, the free volumes `fv_conn` and `fv_disc` at 0.5 eV, `mpe_eV`, the lowest levels '
            'of percolation in one, two and three dimensions and along each lattice vector (null if above '
            '`highest_level_eV`), the numbers of energies, and the `scans` of the ions.',
        )
        spec.output(
            'landscape',
            valid_type=orm.ArrayData,
            help='On the grid: `energy_eV`, above the lowest, and `level_eV`, the level map, the minimum over the '
            'ions; infinite above `highest_level_eV`. `cell_A`, and the fractional `origin` of the grid.',
        )
        spec.default_output_node = 'results'
        exit_code(
            spec,
            'ERROR_INTERRUPTED',
            message='The job ended before its time limit: give its retrieved files as `earlier` to go on from there.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_CALCULATOR',
            message='The energies could not be calculated ({reason}): install the calculator or correct its arguments, '
            'or check that the code can read the potential.',
            invalidates_cache=True,
        )

    def driver_job(self, folder: Folder) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
        """Return the job, with the symmetry of the crystal, and the files to copy."""
        structure = self.inputs.structure
        parameters = ScanParameters.model_validate(self.inputs.parameters.get_dict())
        symbols, positions = symbols_of(structure), [list(site.position) for site in structure.sites]
        copies = []
        job: dict[str, Any] = {
            'symbols': symbols,
            'cell': structure.cell,
            'positions': positions,
            'operations': None,
            'calculator': self.inputs.calculator.get_dict() if 'calculator' in self.inputs else None,
            'potential': None,
            'parameters': parameters.model_dump(),
            'seconds': time_to_run(self.inputs.metadata.options.get('max_wallclock_seconds')),
        }
        if parameters.symmetry:
            fractional = structure.get_pymatgen().frac_coords
            found = symmetry_of(structure.cell, symbols, fractional)
            job['operations'] = {
                'rotations': found.rotations.tolist(),
                'translations': found.translations.tolist(),
                'origin': found.origin.tolist(),
            }
        if 'potential' in self.inputs:
            # DeePMD-kit determines the backend from the suffix.
            potential = self.inputs.potential
            job['potential'] = staged_name(potential, 'potential')
            copies.append(stage_potential(potential, 'potential'))
        if 'earlier' in self.inputs:
            copies.append((self.inputs.earlier.uuid, f'{OUTPUT}/{ENERGIES}', f'{EARLIER}/{ENERGIES}'))
        return job, copies
