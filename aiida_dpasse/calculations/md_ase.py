"""`AseMDCalculation`: molecular dynamics with an ASE calculator, for comparison with a potential in the same chain."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from aiida import orm
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_dpasse.calculations.driver import DriverCalculation
from aiida_dpasse.calculations.label import CALCULATOR_HELP, check_allowed, validate_calculator
from aiida_dpasse.calculations.md import symbols_of, validate_structure
from aiida_dpasse.calculations.md_stops import define_stops
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.lammps.datafile import lammps_frame
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.parameters.md import MDParameters


def check_dynamics(parameters: dict[str, Any]) -> str | None:
    """Check whether an ASE calculator can run molecular dynamics with the parameters of `dpasse.md`.

    :param parameters: parameters of `dpasse.md`.
    :return: an error message, or None.
    """
    if message := check_parameters(MDParameters, parameters):
        return message
    given = MDParameters.model_validate(parameters)
    stage = given.equilibration
    if given.ensemble == 'npt' or (stage is not None and stage.ensemble == 'npt'):
        return 'a calculator runs at constant volume: set `ensemble`, and that of `equilibration`, to nvt or nve.'
    if given.fixed:
        return 'a calculator moves all atoms: set `fixed` to null, or run a potential with LAMMPS.'
    if given.final_temperature is not None:
        return 'a calculator runs at one temperature: set `final_temperature` to null.'
    if given.sample_interval or given.deviation_interval or (given.watch is not None and given.watch.deviation):
        return 'a calculator has no samples and no committee: set `sample_interval` and `watch.deviation` to null.'
    return None


def validate_parameters(parameters: orm.Dict | None, _: Any) -> str | None:
    """Return an error message if the parameters are invalid."""
    message = None if parameters is None else check_dynamics(parameters.get_dict())
    return f'parameters: {message}' if message else None


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Return an error message if the computer of the code does not allow the calculator."""
    options = (inputs.get('metadata') or {}).get('options')
    return check_allowed(inputs.get('calculator'), inputs.get('code'), options)


class AseMDCalculation(DriverCalculation):
    """Calculation job that runs molecular dynamics at constant volume with an ASE calculator.

    `dpasse.transport` can read the trajectory.
    """

    DRIVER: ClassVar[str] = 'trajectory'
    MODULES: ClassVar[tuple[str, ...]] = (
        'deepmd.frameset',
        'labels.admission',
        'drivers.calculators',
        'drivers.labellers',
        'lammps.watch',
        'quoting',
        'structures.distances',
        'transport.displacement',
        'unreadable',
    )

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.inputs['metadata']['options']['parser_name'].default = 'dpasse.md.ase'
        spec.inputs.validator = validate_inputs
        spec.input('structure', valid_type=orm.StructureData, validator=validate_structure, help='Initial structure.')
        spec.input(
            'calculator',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=validate_calculator,
            help=CALCULATOR_HELP,
        )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=validate_parameters,
            help='Settings of the dynamics, those of `dpasse.md` at constant volume.',
        )
        spec.output(
            'thermo', valid_type=orm.ArrayData, help='`step`, `temperature_K`, `potential_energy_eV`, `volume_A3`...'
        )
        spec.output('structure', valid_type=orm.StructureData, help='The last configuration; atoms are not wrapped.')
        spec.output('results', valid_type=orm.Dict, help='The same entries as those of `dpasse.md`.')
        spec.default_output_node = 'results'
        define_stops(spec)
        exit_code(
            spec,
            'ERROR_CALCULATOR',
            message='The calculator failed ({reason}): install it or correct its arguments.',
            invalidates_cache=True,
        )

    def driver_job(self, folder: Folder) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
        """Return the job: calculator, parameters and atoms, in the cell orientation required by the dump format of
        LAMMPS.
        """
        structure = self.inputs.structure
        cell, rotation = lammps_frame(structure.cell)
        masses = {kind.name: kind.mass for kind in structure.kinds}
        job = {
            'calculator': self.inputs.calculator.get_dict(),
            'parameters': MDParameters.model_validate(self.inputs.parameters.get_dict()).model_dump(),
            'symbols': symbols_of(structure),
            'masses': [masses[site.kind_name] for site in structure.sites],
            'cell': cell.tolist(),
            'positions': (np.array([site.position for site in structure.sites]) @ rotation).tolist(),
        }
        return job, []
