"""Groups of commands whose modules are imported only when they are called."""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

import click


class LazyGroup(click.Group):
    """A group whose commands are imported on use, so that `--help` responds immediately."""

    #: Command -> (module:attribute, one line of help).
    COMMANDS: ClassVar[dict[str, tuple[str, str]]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in the order of use."""
        return list(self.COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None for an unknown name."""
        if cmd_name not in self.COMMANDS:
            return None
        module, attribute = self.COMMANDS[cmd_name][0].split(':')
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of the group without importing any command."""
        with formatter.section('Commands'):
            formatter.write_dl([(name, line) for name, (_, line) in self.COMMANDS.items()])
