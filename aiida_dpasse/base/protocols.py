"""Protocols: the physical parameters of a work chain as YAML, merged with those of its children and overrides."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from aiida_dpasse.merging import merge
from aiida_dpasse.renamed import new_protocol

PROTOCOLS = ('dpa-sse', 'balanced', 'fast', 'demo')
DEFAULT_PROTOCOL = 'balanced'


#: Machine presets: scheduler options, one file for each kind of computer.
MACHINES = files('aiida_dpasse.base') / 'machines'


def protocol_file(chain: str) -> Traversable:
    """Return the YAML file of a chain, which is in the directory of the chain: ``distill/acceptance.yaml``.

    :param chain: name of the chain.
    """
    rooms = [room for room in files('aiida_dpasse').iterdir() if room.is_dir()]
    [path] = [path for room in rooms if (path := room / f'{chain}.yaml').is_file()]
    return path


@lru_cache
def _content(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def protocol(chain: str, name: str | None = None) -> dict[str, Any]:
    """Return the protocol ``name`` of ``chain``.

    :param chain: name of the chain, that of its YAML file.
    :param name: name of the protocol; None is the default protocol.
    :raises ValueError: if the protocol is unknown.
    """
    return read_protocol(protocol_file(chain), name)


def read_protocol(path: Traversable, name: str | None = None) -> dict[str, Any]:
    """Return the protocol ``name`` of a YAML file: its ``default``, updated with the entry of that name.

    :param path: the file.
    :param name: name of the protocol; None is the default protocol.
    :raises ValueError: if the protocol is unknown.
    """
    name = new_protocol(name or DEFAULT_PROTOCOL)
    content = _content(Path(str(path)))
    if name not in content['protocols']:
        raise ValueError(f'There is no protocol `{name}`: choose one of {", ".join(content["protocols"])}.')
    return deepcopy(merge(content.get('default', {}), content['protocols'][name]))


def expand_presets(tree: Any) -> Any:
    """Replace every mapping with a ``preset`` by that training preset of ``train.yaml``, updated with its other keys.

    :param tree: parameters of a chain; values that are not mappings are returned unchanged.
    :raises ValueError: if a preset is unknown.
    """
    if not isinstance(tree, Mapping):
        return tree
    if 'preset' in tree:
        presets = _content(Path(str(protocol_file('train'))))['presets']
        name = tree['preset']
        if name not in presets:
            raise ValueError(f'There is no training preset `{name}`: choose one of {", ".join(presets)}.')
        rest = {key: value for key, value in tree.items() if key != 'preset'}
        # Merging precedes the expansion, so that an override can select another preset for a part of this one.
        return expand_presets(merge(presets[name], rest))
    return {key: expand_presets(value) for key, value in tree.items()}


def machine(preset: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return scheduler options by program.

    :param preset: name of a machine preset, or the mapping itself; None gives no options.
    :raises ValueError: if the preset is unknown.
    """
    if preset is None:
        return {}
    if isinstance(preset, Mapping):
        return dict(preset)
    known = sorted(path.name.removesuffix('.yaml') for path in MACHINES.iterdir())
    if preset not in known:
        raise ValueError(f'There is no machine preset `{preset}`: choose one of {", ".join(known)} or give a mapping.')
    return dict(yaml.safe_load((MACHINES / f'{preset}.yaml').read_text()))
