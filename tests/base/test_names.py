"""AiiDA's processes have many methods of plain names: one of ours that has the same name breaks the engine silently."""

from __future__ import annotations

from types import FunctionType

import pytest
from aiida.engine import BaseRestartWorkChain
from aiida.plugins import WorkflowFactory
from aiida.plugins.entry_point import get_entry_point_names

from aiida_dpasse.renamed import ENTRY_POINTS

#: What a work chain is meant to define anew.
MEANT = {
    'define',
    'spec',
    'init',
    'setup',
    'results',
    'inspect_process',
    'submit',
    'on_terminated',
    'get_outputs',
    '_on_awaitable_finished',
}
#: What a body of a class defines by `def`.
BY_DEF = (FunctionType, classmethod, staticmethod, property)
NAMES = [
    name for name in get_entry_point_names('aiida.workflows') if name.startswith('dpasse.') and name not in ENTRY_POINTS
]


@pytest.mark.parametrize('name', NAMES)
def test_no_name_of_the_engine_is_taken(name: str) -> None:
    """A method `run` of ours, for example, would be called by the engine in place of its own."""
    ours = [cls for cls in WorkflowFactory(name).__mro__ if cls.__module__.startswith('aiida_dpasse')]
    # Functions only: once it has run, the engine leaves values of its own on every class (its table of states, say).
    names = {key for cls in ours for key, value in vars(cls).items() if isinstance(value, BY_DEF) and key[:2] != '__'}
    assert sorted(key for key in names - MEANT if hasattr(BaseRestartWorkChain, key)) == []


@pytest.mark.parametrize('name', [name for name in NAMES if getattr(WorkflowFactory(name), 'RUNS_IN_LAMMPS', ())])
def test_what_cannot_be_frozen_ends_every_chain_that_freezes(name: str) -> None:
    """The step that looks at the freezing follows it, and has its exit code."""
    spec = WorkflowFactory(name).spec()
    assert 'check_frozen' in str(spec.get_outline().get_description())
    assert 'ERROR_NOT_FROZEN' in spec.exit_codes
