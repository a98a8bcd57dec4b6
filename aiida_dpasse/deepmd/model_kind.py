"""Which models of DeePMD-kit are potentials that LAMMPS and the programs of this package can run: the model section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_dpasse.unreadable import UnreadableError

#: Types of fitting nets that give energies, and forces as their gradient.
_ENERGY = ('ener', 'dpa4_ener', 'sezm_ener')
#: What models with another fitting net predict.
_PREDICTED = {
    'dipole': 'dipoles',
    'polar': 'polarizabilities',
    'global_polar': 'polarizabilities',
    'dos': 'densities of states',
    'property': 'a property of the crystal',
    'population': 'populations of orbitals',
    'wfc': 'Wannier centres',
}
#: Other names of DeePMD-kit for a descriptor.
_ALIASES = {'dpa4': 'dpa4', 'sezm': 'dpa4', 'dpa4c': 'dpa4c'}


def check_potential(model: Mapping[str, Any], checkpoint: bool = False) -> str | None:
    """Check that a model gives energies and forces from positions, cell and elements alone.

    :param model: model section of one head.
    :param checkpoint: whether the file is a checkpoint, which does not contain the files that its model section names.
    :return: the rest of a sentence that begins with the name of the file, or None.
    """
    for check in (_check_type, _check_fitting, _check_inputs):
        if message := check(model):
            return message
    if checkpoint and (table := model.get('use_srtab')):
        return (
            f'needs the table of short distances `{table}` (`use_srtab`), which a checkpoint does not contain: freeze '
            'it where it was trained (`dp --pt freeze`) and give the frozen model.'
        )
    return None


def _check_type(model: Mapping[str, Any]) -> str | None:
    kind = str(model.get('type', 'standard'))
    if kind == 'linear_ener' or 'models' in model:
        return 'is a weighted sum of models (`linear_ener`), which is not supported: give one of these models.'
    if kind == 'pairtab':
        return 'is a tabulated pair potential (`pairtab`): run it with `pair_style table` of LAMMPS instead.'
    if kind == 'pairwise_dprc':
        return (
            'is a DPRc model (`pairwise_dprc`), which needs a QM and an MM region: give a model of the whole crystal.'
        )
    if kind == 'frozen':
        file = model.get('model_file', 'another file')
        return f'refers to the model file `{file}` and contains no model of its own: give that file.'
    return None


def _check_fitting(model: Mapping[str, Any]) -> str | None:
    fitting = fitting_type(model)
    if fitting in _ENERGY:
        return None
    predicted = _PREDICTED.get(fitting, 'something else')
    return (
        f'predicts {predicted} (fitting type `{fitting}`) and no energies and forces: give a model of fitting type '
        '`ener`.'
    )


def _check_inputs(model: Mapping[str, Any]) -> str | None:
    fitting, descriptor = model.get('fitting_net') or {}, model.get('descriptor') or {}
    if model.get('spin'):
        return 'needs the spin of every atom, which is not supported: give a model that was trained without `spin`.'
    modifier = str((model.get('modifier') or {}).get('type', ''))
    if modifier:
        return (
            f'is the short-range part of a DPLR model (modifier `{modifier}`), whose long-range part is not '
            'supported: give a model that was trained without a modifier.'
        )
    # `default_fparam` and `default_chg_spin` are used where no values are given.
    if (count := fitting.get('numb_fparam')) and fitting.get('default_fparam') is None:
        return (
            f'needs {_values(count)} with every frame (`numb_fparam`), which is not supported: give a model without '
            'or with `default_fparam`.'
        )
    if count := fitting.get('numb_aparam'):
        return (
            f'needs {_values(count)} with every atom (`numb_aparam`), which is not supported: give a model that was '
            'trained without.'
        )
    if descriptor.get('add_chg_spin_ebd') and descriptor.get('default_chg_spin') is None:
        return (
            'needs charge and spin multiplicity of every frame (`add_chg_spin_ebd`), which is not supported: give a '
            'model without or with `default_chg_spin`.'
        )
    return None


def _values(count: Any) -> str:
    return 'a parameter' if count == 1 else f'{count} parameters'


def fitting_type(model: Mapping[str, Any]) -> str:
    """Return the type of the fitting net of a model section; DeePMD-kit's default is ``ener``.

    :param model: model section of one head.
    """
    return str((model.get('fitting_net') or {}).get('type', 'ener'))


def descriptor_type(descriptor: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """Return the type of a descriptor by DeePMD-kit's present name.

    :param descriptor: section of the descriptor.
    :param model: model section; its type is that of the descriptor if that one has none.
    :raises UnreadableError: if the section names no type.
    """
    kind = descriptor.get('type', model.get('type'))
    if kind is None:
        raise UnreadableError('its descriptor has no type')
    return _ALIASES.get(str(kind).lower(), str(kind))


def lora_of(training_input: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return ``rank`` and ``alpha`` of a low-rank adaptation (LoRA), or None if all weights were trained.

    :param training_input: training input, or the part of it that a model file contains.
    """
    found = (training_input.get('model') or {}).get('lora')
    return None if not found else {'rank': found['rank'], 'alpha': found.get('alpha') or found['rank']}
