"""Settings of a validation, and what they and its inputs have to agree on."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from aiida import orm
from pydantic import Field

from aiida_dpasse.calculations.evaluate import validate_inputs
from aiida_dpasse.calculations.label import RelaxationParameters, validate_calculator
from aiida_dpasse.data.conversion import check_ordered
from aiida_dpasse.parameters.base import Parameters


class HeatingParameters(Parameters):
    """A linear heating; when a frame was taken is told by its own MD step."""

    first: float = Field(gt=0, description='Temperature of step 0, K.')
    last: float = Field(gt=0, description='Temperature of the last step, K.')
    steps: int = Field(gt=0, description='Number of the last step.')


class DescriptorParameters(Parameters):
    """How the frames are laid out in a plane by what they look like."""

    potential: str | None = Field(
        default=None,
        description='Label of the potential whose descriptors are used, averaged over the atoms; null describes frames '
        'by their radial distributions.',
    )
    method: Literal['pca', 'tsne'] = Field(
        description='`pca`, a linear projection, or `tsne`, t-distributed neighbour embedding.'
    )
    perplexity: float = Field(
        default=30.0, gt=1, description='Neighbours that `tsne` weighs; of few frames, a third of them at most.'
    )
    max_frames: int = Field(gt=1, description='So many frames of each set, drawn by the seed, at most.')


class ValidateParameters(Parameters):
    """What is tested, and how it is shown."""

    heads: dict[str, str] = Field(
        default_factory=dict, description='Head to use of each multi-task potential, by label of the potential.'
    )
    temperatures: dict[str, list[float] | HeatingParameters] = Field(
        default_factory=dict,
        description='By test set, the temperature of its frames, K: one number for each, or a linear heating.',
    )
    temperature_bin: float = Field(gt=0, description='Frames between multiples of this, K, are one point.')
    batch_size: int = Field(gt=0, description='Largest number of frames in one job of a calculator.')
    parity_points: int = Field(gt=0, description='Points of each test that are kept to be drawn.')
    descriptors: DescriptorParameters | None = Field(
        default=None, description='The map of the test sets and of `training_data`; null draws none.'
    )
    relaxation: RelaxationParameters = Field(
        default=RelaxationParameters(), description='How `structures` are relaxed.'
    )
    decomposition: dict[str, float] = Field(
        default_factory=dict,
        description='Reference energies of decomposition of `structures`, meV/atom, below 0 if it is stable.',
    )
    seed: int = Field(ge=0, description='Seed of the points that are drawn, and of `tsne`.')


def validate_validation(inputs: Any, port: Any) -> str | None:
    """Return one sentence if potentials, test sets and parameters do not go together."""
    potentials, calculators = inputs.get('potentials', {}), inputs.get('calculators', {})
    sets, parameters = inputs.get('test_sets', {}), inputs['parameters'].get_dict() if 'parameters' in inputs else {}
    if not potentials and not calculators:
        return 'potentials, calculators: there is none: give one at least.'
    if twice := sorted(set(potentials) & set(calculators)):
        return f'calculators: the name `{twice[0]}` is that of a potential too: choose another.'
    if not sets:
        return 'test_sets: there is none: give labelled frames by name.'
    for label, calculator in calculators.items():
        if message := validate_calculator(calculator, port):
            return f'calculators.{label}: {message}'
    for name, frames in sets.items():
        if not frames.labelled:
            return f'test_sets.{name}: the frames have no energies and forces: label them with `dpasse.label` first.'
    heads = parameters.get('heads', {})
    if unknown := sorted(set(heads) - set(potentials)):
        return f'parameters: `heads` names `{unknown[0]}`, which is no potential that was given.'
    shown = parameters.get('descriptors') or {}
    by = shown.get('potential')
    if by is not None and by not in potentials:
        return f'parameters: `descriptors.potential` names `{by}`, which is no potential that was given.'
    if 'training_data' in inputs and not shown:
        return 'training_data: it is for the map of descriptors: set `descriptors`, or leave it out.'
    for name, node in sets.items():
        for label, potential in potentials.items():
            if message := _objection(inputs, label, potential, node, heads):
                return f'{message} (test_sets.{name})'
    if by is not None and 'training_data' in inputs:
        message = _objection(inputs, by, potentials[by], inputs['training_data'], heads)
        if message:
            return f'{message} (training_data)'
    return _check_structures(parameters, inputs.get('structures', {}), potentials) or _check_temperatures(
        parameters.get('temperatures', {}), sets
    )


def _objection(inputs: Any, label: str, potential: Any, frames: Any, heads: Any) -> str | None:
    """What `dpasse.evaluate` would object to, before anything is submitted."""
    own = {'heads': {label: heads[label]}} if label in heads else {}
    given = {'frames': frames, 'potentials': {label: potential}, 'parameters': orm.Dict(own)}
    if 'python' in inputs.get('codes', {}):
        given['code'] = inputs['codes']['python']
    return validate_inputs(given, None)


def _check_structures(parameters: Any, structures: Any, potentials: Any) -> str | None:
    if unknown := sorted(set(parameters.get('decomposition', {})) - set(structures)):
        return f'parameters: `decomposition` names `{unknown[0]}`, which is no structure that was given.'
    for name, structure in structures.items():
        if message := check_ordered(structure):
            return f'structures.{name}: {message}'
    for label, potential in potentials.items() if structures else ():
        if potential.heads:
            return f'structures: nothing can be relaxed with `{label}`, which has several heads: freeze one of them.'
        for name, structure in structures.items():
            message = potential.check_elements(sorted(structure.get_symbols_set()), f'the structure `{name}`')
            if message:
                return f'potentials.{label}: {message}'
    return None


def _check_temperatures(temperatures: Any, sets: Any) -> str | None:
    for name, given in temperatures.items():
        if name not in sets:
            return f'parameters: `temperatures` names `{name}`, which is no test set that was given.'
        if isinstance(given, list):
            if len(given) != sets[name].frames:
                return (
                    f'parameters: `temperatures.{name}` holds {len(given)} numbers for {sets[name].frames} frames: '
                    'give one for each.'
                )
        elif min(int(np.min(item.steps)) for item in sets[name].sets()) < 0:
            return (
                f'parameters: `temperatures.{name}` is a heating, and frames of that set have no MD step: give one '
                'temperature for each frame.'
            )
    return None
