"""`TransportCalculation`: displacement statistics of one run, read where its trajectory lies."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from pydantic import Field

from aiida_dpasse.calculations.driver import DriverCalculation
from aiida_dpasse.calculations.parameters import Parameters, parameters_validator
from aiida_dpasse.lammps.script import TRAJECTORY_FILE


class TransportJobParameters(Parameters):
    """Which ions are followed."""

    ion: str = Field(description='Element of the mobile ion.')
    charge: float = Field(default=1.0, description='Its charge in elementary charges.')
    timestep: float = Field(gt=0, description='Timestep of the run in fs.')


def validate_trajectories(trajectories: Any, _: Any) -> str | None:
    """Return one sentence if there is no trajectory."""
    return None if trajectories else 'trajectories: there is none: give the working directories of the segments of one run.'


def validate_inputs(inputs: Any, _: Any) -> str | None:
    """Return one sentence if ion, structure, trajectories and code do not go together."""
    if 'structure' in inputs and 'parameters' in inputs:
        ion, elements = inputs['parameters']['ion'], sorted(inputs['structure'].get_symbols_set())
        if ion not in elements:
            return f'parameters: there is no `{ion}` in the structure: choose `ion` from {", ".join(elements)}.'
    if 'code' not in inputs:
        return None
    for label, folder in inputs.get('trajectories', {}).items():
        if folder.computer.pk != inputs['code'].computer.pk:
            return (
                f'trajectories.{label}: it lies on {folder.computer.label} and the code runs on '
                f'{inputs["code"].computer.label}: use a Python of the same computer.'
            )
    return None


class TransportCalculation(DriverCalculation):
    """Reads the segments of one run in bounded memory; only mean square displacements and van Hove functions come home."""

    DRIVER = 'transport'
    MODULES = ('lammps.dump', 'transport.displacement', 'transport.vanhove')
    LINK = 'trajectory_{index:03d}.lammpstrj'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the ports and exit codes."""
        super().define(spec)
        spec.inputs['code'].help = 'Python with numpy on the computer where the trajectory lies.'
        spec.input_namespace(
            'trajectories',
            valid_type=orm.RemoteData,
            validator=validate_trajectories,
            help='Working directories of the segments of one run, in the order of their labels.',
        )
        spec.input('structure', valid_type=orm.StructureData, help='The structure that was simulated.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=parameters_validator(TransportJobParameters),
            help='Which ions are followed.',
        )
        spec.inputs['metadata']['options']['parser_name'].default = 'dpasse.transport'
        spec.inputs.validator = validate_inputs
        spec.output(
            'statistics',
            valid_type=orm.ArrayData,
            required=False,
            help='`lags_ps`, `msd_A2` and `collective_A2` by axis, up to half the run; van Hove functions and non-Gaussian '
            'parameter at `van_hove_lags_ps`.',
        )
        spec.output(
            'results',
            valid_type=orm.Dict,
            required=False,
            help='Frames, duration, number of ions, mean volume, drift and displacement of the framework.',
        )
        spec.exit_code(
            420,
            'ERROR_TRAJECTORY',
            message='The trajectory cannot be analysed. {reason}',
            invalidates_cache=True,
        )

    def driver_job(self, folder: Folder) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
        """Return the job; nothing is copied."""
        parameters = TransportJobParameters.model_validate(self.inputs.parameters.get_dict())
        kinds = {kind.name: kind for kind in self.inputs.structure.kinds}
        sites = [kinds[site.kind_name] for site in self.inputs.structure.sites]
        mobile = [kind.symbol == parameters.ion for kind in sites]
        job = {
            'trajectories': [target for _, _, target in self.remote_links()],
            'timestep': parameters.timestep,
            'mobile': mobile,
            'masses': [kind.mass for kind in sites],
            'charges': [parameters.charge] * sum(mobile),
        }
        return job, []

    def remote_links(self) -> list[tuple[str, str, str]]:
        """Return the trajectories of the segments, to be read where they lie."""
        folders = [folder for _, folder in sorted(self.inputs.trajectories.items())]
        return [
            (folder.computer.uuid, f'{folder.get_remote_path()}/{TRAJECTORY_FILE}', self.LINK.format(index=index))
            for index, folder in enumerate(folders)
        ]
