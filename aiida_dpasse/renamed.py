"""Names that were replaced. The old ones work for one release, with a deprecation warning, and are read in archives."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from aiida_dpasse.merging import merge

#: Entry points of work chains.
ENTRY_POINTS = {'dpasse.speed': 'dpasse.benchmark', 'dpasse.finetune_study': 'dpasse.learning_curve'}
PROTOCOLS = {'moderate': 'balanced'}
#: Parameters at any depth; links of a study have the same names.
KEYS = {'contrast': 'reference', 'finetune_data': 'finetune_labels'}
#: Parameters without a successor, which are ignored, and the parameter that stands beside them.
REMOVED = {'hop_length': 'transport', 'jump_distance': 'transport'}
LINKS = {'conductor': 'electrolyte', **KEYS}
#: What the old entry points load.
CLASSES = {
    'SpeedWorkChain': ('aiida_dpasse.assess.benchmark', 'BenchmarkWorkChain'),
    'FinetuneStudyWorkChain': ('aiida_dpasse.train.learning_curve', 'LearningCurveWorkChain'),
}


def warn(old: str, new: str) -> None:
    """Warn that a name was replaced."""
    warnings.warn(f'`{old}` is called `{new}` now; the old name will be removed.', DeprecationWarning, stacklevel=3)


def new_protocol(name: str) -> str:
    """Return the present name of a protocol."""
    if name in PROTOCOLS:
        warn(name, PROTOCOLS[name])
    return PROTOCOLS.get(name, name)


def new_keys(data: Any, known: Iterable[str]) -> Any:
    """Return parameters with the present names of their keys.

    :param data: parameters of one level; what is not a dictionary is returned unchanged.
    :param known: names of the parameters of this level; an old name that is one of them is kept.
    """
    if not isinstance(data, dict):
        return data
    known = set(known)
    removed = [key for key in data if key not in known and REMOVED.get(key) in known]
    for key in removed:
        warnings.warn(f'`{key}` has no effect any more; remove it.', DeprecationWarning, stacklevel=2)
    found = {key: value for key, value in data.items() if key not in removed}
    for old in [key for key in data if key not in known and KEYS.get(key) in known]:
        warn(old, KEYS[old])
        # An override with the old name is merged into the protocol's value, which has the new one.
        found = merge({key: value for key, value in found.items() if key != old}, {KEYS[old]: found[old]})
    return found


def __getattr__(name: str) -> Any:
    """Return the class that an old entry point names.

    :raises AttributeError: if there is no such name.
    """
    if name not in CLASSES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module, new = CLASSES[name]
    warn(name, new)
    return getattr(import_module(module), new)
