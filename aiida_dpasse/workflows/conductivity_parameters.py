"""Settings of the conductivity, and what they and its inputs have to agree on."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat, model_validator

from aiida_dpasse.calculations.md_ase import check_dynamics
from aiida_dpasse.calculations.transport import VAN_HOVE_RANGE
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.md import DeviationLimit, check_transport_run, refuse_what_is_set


class MobileIonParameters(Parameters):
    """The ion whose transport is asked for."""

    ion: str = Field(default='Li', description='Element of the mobile ion.')
    charge: float = Field(default=1.0, description='Its charge in elementary charges.')
    max_frames: int = Field(default=4000, gt=15, description='Frames that the analysis holds in memory.')
    van_hove_range: float | None = Field(
        default=VAN_HOVE_RANGE, ge=0.2, description='Largest distance in A of the van Hove maps; null makes none.'
    )


class PrecisionParameters(Parameters):
    """How well the diffusion has to be known, and what that may cost."""

    relative_error: float = Field(
        gt=0, lt=1, description='Runs go on where the error of the tracer coefficient is a larger part of it than this.'
    )
    maximum_steps: int = Field(
        gt=0, description='No run becomes longer than this; each time the runs of a temperature become twice as long.'
    )


class TrustParameters(DeviationLimit):
    """How the deviation of a committee is watched while it runs."""

    interval: int = Field(gt=0, description='Steps between frames whose deviation is looked at, and may be chosen.')


class FiniteSizeParameters(Parameters):
    """A larger cell at one temperature, whose diffusion should be the same."""

    supercell: float | list[int] | list[list[int]] = Field(
        description='The larger cell: three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperature: float = Field(gt=0, description='One of `temperatures`.')
    replicas: int | None = Field(
        default=None, gt=0, description='Independent runs of each larger cell; null makes as many as of the others.'
    )


class ConductivityParameters(Parameters):
    """Temperatures, replicas, dynamics and analysis."""

    supercell: float | list[int] | list[list[int]] = Field(
        description='Three repetitions, a 3x3 matrix, or the smallest distance between images in A.'
    )
    temperatures: list[PositiveFloat] = Field(min_length=1, description='Temperatures in K.')
    replicas: int = Field(gt=0, description='Independent runs of each structure at each temperature.')
    md: dict[str, Any] = Field(description='Parameters of `dpasse.md`, without `temperature` and `seed`.')
    transport: MobileIonParameters = Field(default=MobileIonParameters(), description='The mobile ion.')
    hop_length: float = Field(
        default=2.5, gt=0, description='Distance between neighbouring sites in A: hops are told from rattling by it.'
    )
    precision: PrecisionParameters | None = Field(
        default=None, description='Lengthens the runs until the diffusion is known well enough; null runs them once.'
    )
    trust: TrustParameters | None = Field(
        default=None, description='When a run has left the trust of the `committee`, if one is given; null never.'
    )
    finite_size: FiniteSizeParameters | None = Field(
        default=None, description='Compares the diffusion with that of a larger cell; null does not.'
    )
    extrapolate_to: float | None = Field(
        default=300.0, gt=0, description='Temperature in K of the conductivity; null fits no line.'
    )
    seed: int = Field(
        ge=0, description='Seed of all velocities; a chain that calls this one replaces it by one derived from its own.'
    )

    @model_validator(mode='after')
    def _runs(self) -> ConductivityParameters:
        refuse_what_is_set(self.md, ('temperature', 'seed'))
        check_transport_run(self.md, temperature=1.0, seed=1)
        if (self.md.get('watch') or {}).get('deviation'):
            raise ValueError('`md.watch.deviation` is set by `trust`: take it out')
        if self.finite_size is not None and self.finite_size.temperature not in self.temperatures:
            raise ValueError(
                f'`finite_size.temperature` ({self.finite_size.temperature:g}) should be one of `temperatures`'
            )
        if not self.md.get('trajectory_interval'):
            raise ValueError('`md.trajectory_interval` is missing: without a trajectory there is nothing to analyse')
        if self.precision is not None and self.precision.maximum_steps < 2 * self.md['steps']:
            raise ValueError(
                f'`precision.maximum_steps` ({self.precision.maximum_steps}) should be twice `md.steps` '
                f'({self.md["steps"]}) at least: a run that goes on becomes twice as long'
            )
        return self


def validate_conductivity(inputs: Any, _: Any) -> str | None:
    """Return one sentence if potential, structures, ion and codes do not go together."""
    codes = inputs.get('codes', {})
    if 'lmp' in codes and 'python' in codes and codes['lmp'].computer.pk != codes['python'].computer.pk:
        return (
            f'codes.python: it runs on {codes["python"].computer.label} and LAMMPS on {codes["lmp"].computer.label}: '
            'trajectories are read where they lie, give a Python of that computer.'
        )
    potential = inputs.get('potential')
    if message := _check_calculator(inputs) or _check_committee(inputs):
        return message
    for label, structure in inputs.get('structures', {}).items():
        symbols = sorted(structure.get_symbols_set())
        if potential is not None and (message := potential.check_elements(symbols, f'the structure `{label}`')):
            return f'potential: {message}'
        if 'parameters' in inputs:
            ion = inputs['parameters'].get_dict().get('transport', {}).get('ion', 'Li')
            if ion not in symbols:
                return f'structures.{label}: it holds no {ion}: correct `transport.ion` in the parameters.'
    if potential is not None and potential.form == 'checkpoint':
        return 'potential: LAMMPS cannot run a checkpoint; give the frozen potential.'
    return None


def _check_calculator(inputs: Any) -> str | None:
    if ('calculator' in inputs) == ('potential' in inputs):
        given = 'both are' if 'calculator' in inputs else 'neither is'
        return f'calculator, potential: give one of them to run with; {given} given.'
    if 'calculator' not in inputs or 'parameters' not in inputs:
        return None
    if inputs.get('committee'):
        return 'committee: it follows the runs of a potential, and a calculator is given: leave it out.'
    given = inputs['parameters'].get_dict()
    if given.get('precision'):
        return 'parameters: `precision` makes runs longer, and those of a calculator cannot go on: set it to null.'
    message = check_dynamics({**given['md'], 'temperature': 1.0, 'seed': 1})
    return f'parameters: `md`: {message}' if message else None


def _check_committee(inputs: Any) -> str | None:
    committee = inputs.get('committee') or {}
    if committee and 'parameters' in inputs and not inputs['parameters'].get_dict().get('trust'):
        return 'committee: `trust` in the parameters is null: say when a run has left its trust, or give no committee.'
    for label, potential in committee.items():
        if potential.form == 'checkpoint':
            return f'committee.{label}: LAMMPS cannot run a checkpoint; give the frozen potential.'
        for name, structure in inputs.get('structures', {}).items():
            symbols = sorted(structure.get_symbols_set())
            if message := potential.check_elements(symbols, f'the structure `{name}`'):
                return f'committee.{label}: {message}'
    return None
