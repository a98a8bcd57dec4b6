"""Merging of nested settings."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any


def merge(base: Any, overrides: Any) -> Any:
    """Merge ``overrides`` into ``base``: mappings are merged key by key, all other values are replaced.

    :param base: original settings, which are not modified.
    :param overrides: settings that take precedence.
    :return: a deep copy of the merged settings.
    """
    if not isinstance(base, Mapping) or not isinstance(overrides, Mapping):
        return deepcopy(overrides)
    merged = {key: deepcopy(value) for key, value in base.items()}
    for key, value in overrides.items():
        merged[key] = merge(merged[key], value) if key in merged else deepcopy(value)
    return merged
