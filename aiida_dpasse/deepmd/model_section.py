"""The model section of a stranger's file: values made plain and bounded, and those in use checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ase.data import chemical_symbols

from aiida_dpasse.unreadable import UnreadableError

#: Most values, most characters of all text, and deepest nesting of a section; far above those of published models.
MOST_VALUES, MOST_TEXT, MOST_DEPTH = 200_000, 10_000_000, 40
#: Most heads of a multi-task model, most characters of a name, and largest cutoff in A.
MOST_HEADS, MOST_NAME, LARGEST_CUTOFF = 1_000, 200, 1_000.0
_ELEMENTS = frozenset(chemical_symbols[1:])


def plain(value: Any) -> Any:
    """Return a copy of dictionaries, lists, text and finite numbers, the values that a node can store.

    :param value: what was read from a file, in which one list may stand in many places, or in itself.
    :raises UnreadableError: if it is too large, or has a value that a node cannot store.
    """
    return _Copy().copy(value, 0, '')


class _Copy:
    def __init__(self) -> None:
        self.values = self.characters = 0

    def copy(self, value: Any, depth: int, key: str) -> Any:
        self.values += 1
        if self.values > MOST_VALUES or depth > MOST_DEPTH:
            raise UnreadableError('its description is larger or deeper than that of any model')
        if isinstance(value, Mapping):
            return {self.text(str(name)): self.copy(item, depth + 1, str(name)) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.copy(item, depth + 1, key) for item in value]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise UnreadableError(f'`{key[:MOST_NAME]}` of its description is {value}, not a finite number')
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise UnreadableError(f'`{key[:MOST_NAME]}` of its description is an integer of more than 64 bits')
        # Tensors and objects do not describe a model.
        return value if isinstance(value, int | float | None) else type(value).__name__

    def text(self, value: str) -> str:
        self.characters += len(value)
        if self.characters > MOST_TEXT:
            raise UnreadableError('its description is larger or deeper than that of any model')
        if '\0' in value or any('\ud800' <= character <= '\udfff' for character in value):
            raise UnreadableError('its description has text that is not Unicode')
        return value


def check_section(section: Mapping[str, Any], where: str = '') -> None:
    """Check the values of the model section of one head that this package reads.

    :param section: the section, of plain values.
    :param where: beginning of the keys in messages, for a model of several heads.
    :raises UnreadableError: if one is not what DeePMD-kit expects, with its key.
    """
    names = section.get('type_map', [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UnreadableError(f'`{where}type_map` is not a list of elements')
    for name in ('descriptor', 'fitting_net', 'modifier', 'lora'):
        if section.get(name) is not None or name == 'fitting_net':
            _mapping(section.get(name, {}), f'{where}{name}')
    _name(section.get('type', ''), f'{where}type')
    fitting, descriptor = section.get('fitting_net', {}), section.get('descriptor') or {}
    _name(fitting.get('type', ''), f'{where}fitting_net.type')
    neurons = fitting.get('neuron') or []
    if not isinstance(neurons, list) or not all(_is_count(count) for count in neurons):
        raise UnreadableError(f'`{where}fitting_net.neuron` is not a list of numbers of neurons')
    for name in ('numb_fparam', 'numb_aparam'):
        if fitting.get(name) is not None and not _is_count(fitting[name]):
            raise UnreadableError(f'`{where}fitting_net.{name}` is not a number of parameters')
    lora = section.get('lora') or {}
    if lora and not (_is_count(lora.get('rank')) and _is_number(lora.get('alpha') or 0)):
        raise UnreadableError(f'`{where}lora` has no `rank`, or values that are not numbers')
    _check_descriptor(descriptor, f'{where}descriptor')


def _check_descriptor(descriptor: Mapping[str, Any], where: str) -> None:
    if descriptor.get('type') is not None:
        _name(descriptor['type'], f'{where}.type')
    for name in ('rcut', 'e_rcut', 'a_rcut'):
        if name in descriptor and not (_is_number(descriptor[name]) and 0 < descriptor[name] <= LARGEST_CUTOFF):
            shown = str(descriptor[name])[:MOST_NAME]
            raise UnreadableError(f'`{where}.{name}` is {shown}, not a cutoff radius in Å')
    for name in ('repinit', 'repformer', 'repflow'):
        if descriptor.get(name) is not None:
            _check_descriptor(_mapping(descriptor[name], f'{where}.{name}'), f'{where}.{name}')
    members = descriptor.get('list', [])
    if not isinstance(members, list):
        raise UnreadableError(f'`{where}.list` is not a list')
    for number, member in enumerate(members):
        _check_descriptor(_mapping(member, f'{where}.list'), f'{where}.list[{number}]')


def check_elements(names: Sequence[str], where: str = 'type_map') -> None:
    """Check that a list contains symbols of elements, each once.

    :param names: the list.
    :param where: its key, for the message.
    :raises UnreadableError: if it does not.
    """
    for name in names:
        if name not in _ELEMENTS:
            raise UnreadableError(f'`{where}` contains `{name[:MOST_NAME]}`, which is no element')
    if len(set(names)) < len(names):
        raise UnreadableError(f'`{where}` contains an element twice')


def check_training(training_input: Mapping[str, Any]) -> None:
    """Check the values of a whole training input that this package reads, apart from its model section.

    :param training_input: training input of plain values.
    :raises UnreadableError: if one is not what DeePMD-kit expects, with its key.
    """
    for section, names in (('learning_rate', ('start_lr', 'stop_lr')), ('training', ('numb_steps',))):
        values = _mapping(training_input.get(section) or {}, section)
        for name in names:
            if name in values and not _is_number(values[name]):
                raise UnreadableError(f'`{section}.{name}` of its training input is not a number')


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UnreadableError(f'`{where}` is not a section with keys')
    return value


def _name(value: Any, where: str) -> None:
    if not isinstance(value, str) or len(value) > MOST_NAME:
        raise UnreadableError(f'`{where}` is not a name')


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
