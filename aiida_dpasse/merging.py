"""Laying settings over settings."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any


def merge(base: Any, overrides: Any) -> Any:
    """Return ``base`` with ``overrides`` laid over it: mappings are merged key by key, everything else is replaced."""
    if not isinstance(base, Mapping) or not isinstance(overrides, Mapping):
        return deepcopy(overrides)
    merged = {key: deepcopy(value) for key, value in base.items()}
    for key, value in overrides.items():
        merged[key] = merge(merged[key], value) if key in merged else deepcopy(value)
    return merged
