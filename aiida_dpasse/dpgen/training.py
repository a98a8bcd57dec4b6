"""Convert DP-GEN's training: the committee, and the DeePMD-kit input shared by its members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ase.data import chemical_symbols

from aiida_dpasse.dpgen.keys import Keys, Ledger, listed, mapping, shortened, whole
from aiida_dpasse.unreadable import UnreadableError

PARAM = 'default_training_param'
INPUT = 'committee.train.input'
#: File names that a training job relies on, and the data prefix of the first releases of DeePMD-kit.
_NAMES = {'disp_file': 'lcurve.out', 'save_ckpt': 'model.ckpt', 'set_prefix': 'set'}
FROM_SCRATCH = (
    'every committee is trained from scratch, on all frames; `dpasse.finetune` starts a potential from another'
)


def read_committee(keys: Keys) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of the committee and the training input of its members.

    :param keys: keys of param.json.
    :return: the parameters, and the sections model, learning_rate, loss and training.
    :raises UnreadableError: if a required key is missing, or a value is not accepted by DP-GEN.
    """
    members = whole(keys.need('numb_models', 'committee.members'), 'numb_models', least=2)
    backend = keys.take('train_backend', 'committee.train.backend', 'tensorflow')
    if backend not in ('tensorflow', 'pytorch'):
        raise UnreadableError(f'`train_backend` should be tensorflow or pytorch, got {shortened(backend)}.')
    compress = bool(keys.take('dp_compress', 'committee.train.compress', False))
    content = training_input(keys.need(PARAM, INPUT), keys.ledger)
    content['model']['type_map'] = type_map_of(keys)
    content['training']['training_data']['batch_size'] = batch_size(keys, content['training'])
    train = {'backend': backend, 'compress': compress}
    # DP-GEN does not continue if a model is missing.
    return {'members': members, 'minimum_members': members, 'train': train}, content


def type_map_of(keys: Keys) -> list[str]:
    """Return the elements in DP-GEN's order.

    :param keys: keys of param.json.
    :raises UnreadableError: if an element is repeated or there are none.
    """
    type_map = listed(keys.need('type_map', f'{INPUT}.model.type_map'), 'type_map')
    if not type_map or len(set(map(str, type_map))) != len(type_map):
        raise UnreadableError(f'`type_map` should name each element once, got {shortened(type_map)}.')
    if unknown := [element for element in type_map if element not in chemical_symbols[1:]]:
        raise UnreadableError(f'`type_map` should name elements, got {shortened(unknown[0])}.')
    return list(type_map)


def training_input(given: Any, ledger: Ledger) -> dict[str, Any]:
    """Return the sections of a training input without seeds, comments, data paths and file names.

    :param given: training input of DP-GEN.
    :param ledger: record of the keys that are left out.
    :raises UnreadableError: if a section is missing.
    """
    content = cleaned(mapping(given, PARAM))
    for section in ('model', 'learning_rate', 'training'):
        if not isinstance(content.get(section), dict):
            raise UnreadableError(f'`{PARAM}.{section}` is missing: give this section of the training input.')
    training = content['training']
    if 'stop_batch' in training:
        training['numb_steps'] = training.pop('stop_batch')
    data = training['training_data'] = mapping(training.get('training_data', {}), f'{PARAM}.training.training_data')
    if 'batch_size' in training:
        data['batch_size'] = training.pop('batch_size')
    for name, usual in _NAMES.items():
        if training.pop(name, usual) != usual:
            ledger.leave(f'{PARAM}.training.{name}', given['training'][name], f'the name is {usual} here')
    training.pop('systems', None)
    data.pop('systems', None)
    for name, place in (('auto_prob_style', training), ('auto_prob', data), ('numb_test', training)):
        if name in place:
            value = place.pop(name)
            ledger.leave(f'{PARAM}.{name}', value, 'frames are drawn by the number of frames, and some are held out')
    validation = mapping(training.get('validation_data', {}), f'{PARAM}.training.validation_data')
    if validation.pop('systems', None):
        ledger.leave(
            f'{PARAM}.training.validation_data.systems',
            given['training']['validation_data']['systems'],
            'frames to validate with are the input `validation_data`, or `validation` holds some out',
        )
        training['validation_data'] = validation
    return content


def cleaned(tree: Any) -> Any:
    """Return ``tree`` without comments and seeds, since each member of the committee is assigned its own seeds."""
    if isinstance(tree, list):
        return [cleaned(item) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    return {key: cleaned(value) for key, value in tree.items() if key != 'seed' and not key.startswith('_')}


def batch_size(keys: Keys, training: Mapping[str, Any]) -> Any:
    """Return the batch size, which DP-GEN sets for each system and which is common to all frames here.

    :param keys: keys of param.json.
    :param training: section `training` of the training input.
    :raises UnreadableError: if a batch size is neither a number nor text.
    """
    to = f'{INPUT}.training.training_data.batch_size'
    given = training['training_data'].get('batch_size')
    # As in DP-GEN, the batch size of the training input is used only if it mixes systems.
    if isinstance(given, str) and given.startswith('mixed:'):
        for name in ('init_batch_size', 'sys_batch_size'):
            keys.leave(name, f'`{PARAM}` mixes systems in a batch, which DP-GEN lets stand over this, too')
        return given
    sizes: list[Any] = []
    for name in ('init_batch_size', 'sys_batch_size'):
        value = keys.take(name, to, [])
        sizes += value if isinstance(value, list) else [value]
        if not all(isinstance(size, (int, str)) for size in sizes):
            raise UnreadableError(f'`{name}` should be a list of numbers, or "auto", got {shortened(value)}.')
    distinct = list(dict.fromkeys(sizes)) or ['auto']
    if len(distinct) == 1:
        return distinct[0]
    for name in ('init_batch_size', 'sys_batch_size'):
        keys.leave(name, 'there is one batch size for all frames, and `auto` (32 atoms at least) was taken')
    return 'auto'
