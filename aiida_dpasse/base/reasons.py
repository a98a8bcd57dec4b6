"""Why a process failed, in its own words: the first cause reaches the top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm


def reason_of(node: orm.ProcessNode) -> str:
    """Return what ``node`` says of its failure: the message of its exit code, its exception, or that it was killed."""
    lines = (node.exception or '').strip().splitlines()
    message = node.exit_message or (lines[-1] if lines else node.process_status) or f'exit code {node.exit_status}'
    return f'{node.process_label}<{node.pk}> says: {message}'


def first_reason(nodes: Mapping[Any, orm.ProcessNode]) -> str:
    """Return what the first of the failed ``nodes`` says, empty if there is none."""
    return next((reason_of(node) for node in nodes.values()), '')
