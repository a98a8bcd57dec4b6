"""Registry of label sources: the work chains with an entry point `dpasse.label.<code>`, of this or another package.

The entry points are the only list. Whatever depends on the sources (codes, sections of the parameters, protocols,
scheduler options, reports) is derived from them.
"""

from __future__ import annotations

import warnings
from typing import Any

from aiida.plugins import WorkflowFactory
from aiida.plugins.entry_point import get_entry_point_names

PREFIX = 'dpasse.label.'
#: The job of the plugin's own driver has an entry point with this prefix, but no code of its own.
DRIVER = 'job'


def source_names() -> list[str]:
    """Return the names of the codes that can label, sorted."""
    names = [name.removeprefix(PREFIX) for name in get_entry_point_names('aiida.workflows') if name.startswith(PREFIX)]
    return sorted(set(names) - {DRIVER})


def load_source(name: str) -> Any:
    """Return the chain that labels a batch with the code ``name``, a subclass of `label.batch.BatchLabelWorkChain`.

    :raises aiida.common.exceptions.EntryPointError: if there is none, or if it cannot be imported.
    """
    return WorkflowFactory(f'{PREFIX}{name}')


def load_sources() -> dict[str, Any]:
    """Return all label sources by the name of their code.

    A source that cannot be imported is left out with a warning: another package cannot disable this one.
    """
    sources = {}
    for name in source_names():
        try:
            sources[name] = load_source(name)
        except Exception as error:  # a module of another package may raise any exception
            warnings.warn(f'The label source `{name}` cannot be loaded: {error}', stacklevel=2)
    return sources
