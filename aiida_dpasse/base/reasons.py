"""Reasons of failures, taken from the failed process itself and passed to the top process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm


def reason_of(node: orm.ProcessNode) -> str:
    """Return why ``node`` failed: its exit message, its exception, its process status, or its exit code."""
    lines = (node.exception or '').strip().splitlines()
    message = node.exit_message or (lines[-1] if lines else node.process_status) or f'exit code {node.exit_status}'
    return f'{node.process_label}<{node.pk}> says: {message}'


def first_reason(nodes: Mapping[Any, orm.ProcessNode]) -> str:
    """Return why the first of the failed ``nodes`` failed; an empty string if ``nodes`` is empty."""
    return next((reason_of(node) for node in nodes.values()), '')
