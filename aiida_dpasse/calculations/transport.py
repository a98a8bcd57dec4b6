"""`TransportCalculation`: displacement statistics of one run, computed on the machine that holds its trajectory."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from aiida import orm
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec

from aiida_dpasse.calculations.driver import DriverCalculation
from aiida_dpasse.calculations.md import symbols_of
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.lammps.script import TRAJECTORY_FILE
from aiida_dpasse.parameters.base import parameters_validator
from aiida_dpasse.parameters.transport import TransportParameters


def validate_trajectories(trajectories: Any, _: Any) -> str | None:
    """Return an error message if there is no trajectory."""
    return None if trajectories else 'trajectories: none is given: give the working directory of each segment of a run.'


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Return an error message if the structure lacks the ion, or a trajectory is on another computer.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    structure, parameters = inputs.get('structure'), inputs.get('parameters')
    if structure is not None and parameters is not None:
        ion = parameters.get_dict().get('ion')
        if ion not in structure.get_symbols_set():
            return f'parameters: the `ion` {ion} is not in {structure.get_formula()}: name an element of the structure.'
    for label, folder in inputs.get('trajectories', {}).items():
        if 'code' in inputs and folder.computer.uuid != inputs['code'].computer.uuid:
            return (
                f'trajectories.{label}: it is on {folder.computer.label} and the code runs on '
                f'{inputs["code"].computer.label}: use a Python of the computer of the trajectory.'
            )
    return None


class TransportCalculation(DriverCalculation):
    """Calculation job that computes the displacement statistics of one run from the trajectories of its segments.

    The segments are read in the order of their labels.
    """

    DRIVER: ClassVar[str] = 'transport'
    MODULES: ClassVar[tuple[str, ...]] = (
        'lammps.dump',
        'lammps.rows',
        'opening',
        'quoting',
        'transport.cages',
        'transport.displacement',
        'transport.maps',
        'transport.moments',
        'transport.neighbours',
        'transport.spectrum',
        'transport.tracks',
        'transport.vanhove',
        'unreadable',
    )

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        spec.inputs['metadata']['options']['parser_name'].default = 'dpasse.transport'
        spec.input_namespace(
            'trajectories',
            valid_type=orm.RemoteData,
            validator=validate_trajectories,
            help='Working directories of the segments of one run, in order.',
        )
        spec.input('structure', valid_type=orm.StructureData, help='Initial structure of the run.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=parameters_validator(TransportParameters),
            help='The mobile ion, and how the trajectory is read.',
        )
        spec.inputs.validator = validate_inputs
        spec.output(
            'statistics',
            valid_type=orm.ArrayData,
            help='`lag_ps` (m,), `msd_A2` and `collective_A2` (m, 3) per axis, over all time origins; power spectra of '
            'the displacements by `order`; van Hove maps `self_per_A` and `distinct`, by `map_lag_ps` and `self_r_A`, '
            '`distinct_r_A`.',
        )
        spec.output(
            'results',
            valid_type=orm.Dict,
            help='Ions, frames, interval, volume, framework drift, exchanges between cages.',
        )
        spec.default_output_node = 'results'
        exit_code(
            spec,
            'ERROR_DAMAGED_OUTPUT',
            message='{reason} Check the disk of the computer, and run the dynamics again.',
            invalidates_cache=True,
        )
        exit_code(
            spec, 'ERROR_TRAJECTORY', message='The trajectory cannot be analysed. {reason}', invalidates_cache=True
        )

    def driver_job(self, folder: Folder) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
        """Return the job: the linked files, the atoms and the parameters."""
        structure = self.inputs.structure
        masses = {kind.name: kind.mass for kind in structure.kinds}
        positions = np.array([site.position for site in structure.sites])
        job = {
            **TransportParameters.model_validate(self.inputs.parameters.get_dict()).model_dump(),
            'symbols': symbols_of(structure),
            'masses': [masses[site.kind_name] for site in structure.sites],
            'sites': (positions @ np.linalg.inv(structure.cell)).tolist(),
            'trajectories': [f'{label}.lammpstrj' for label in sorted(self.inputs.trajectories)],
        }
        return job, []

    def remote_links(self) -> list[tuple[str, str, str]]:
        """Return the links to the trajectory of each segment."""
        return [
            (node.computer.uuid, f'{node.get_remote_path()}/{TRAJECTORY_FILE}', f'{label}.lammpstrj')
            for label, node in sorted(self.inputs.trajectories.items())
        ]
