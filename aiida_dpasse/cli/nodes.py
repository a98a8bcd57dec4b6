"""Types of arguments that name a node: AiiDA's, which complete names, without what no database takes."""

from __future__ import annotations

from typing import Any

import click
from aiida.cmdline.params.types import NodeParamType, ProcessParamType

from aiida_dpasse.cli.profile import possible


class ProcessType(ProcessParamType):
    """PK, UUID or label of a process."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the process."""
        return super().convert(_checked(self, value, param, ctx), param, ctx)


class NodeType(NodeParamType):
    """PK, UUID or label of a node."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the node."""
        return super().convert(_checked(self, value, param, ctx), param, ctx)


def _checked(kind: click.ParamType, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
    if isinstance(value, str | int) and not possible(value):
        kind.fail(f'{value!r} is neither a PK nor a UUID nor a label: give one of these.', param, ctx)
    return value
