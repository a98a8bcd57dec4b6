"""A step that a killed worker repeats finds the children that it has already submitted."""

from __future__ import annotations

from typing import Any

import pytest
from aiida import orm
from aiida.engine import Process, ToContext, WorkChain, append_, run_get_node
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.submit_once import SubmitOnce


class Child(WorkChain):
    """Ends at once."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define an outline of one step."""
        super().define(spec)
        spec.outline(cls.nothing)

    def nothing(self) -> None:
        """Do nothing."""


class Parent(SubmitOnce, WorkChain):
    """Does in one step what a worker does that is killed after the submissions: the same submissions again."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define an outline of two steps."""
        super().define(spec)
        spec.outline(cls.submit_again, cls.count_from_one_again)

    def children(self, *labels: str) -> list[orm.ProcessNode]:
        """Submit one child for each label."""
        return [self.submit(Child, metadata={'call_link_label': label}) for label in labels]

    def submit_again(self) -> Any:
        """Submit two children, then the first again, one that was cut off again, and two without labels."""
        first, second = self.children('iteration_01', 'iteration_02')
        assert self.children('iteration_01') == [first]
        second.delete_checkpoint()
        assert self.children('iteration_02') != [second]
        assert self.submit(Child) != self.submit(Child)
        return ToContext(children=append_(first))

    def count_from_one_again(self) -> None:
        """Submit under a label whose child the context knows."""
        assert self.ctx.children[0].is_terminated
        assert self.children('iteration_01') != self.ctx.children


@pytest.mark.usefixtures('aiida_profile')
def test_repeated_step_submits_nothing_twice() -> None:
    """Six children in all: two labels, the one that could never run again, two without label, one known."""
    _, node = run_get_node(Parent)
    assert node.is_finished_ok, node.exception
    assert len(node.called) == 6


class Away(WorkChain):
    """Stores and starts a child, and then fails as a submission does whose broker is away."""

    def submit(self, process: type[Process], inputs: dict[str, Any] | None = None, **kwargs: Any) -> orm.ProcessNode:
        """Submit, and fail unless the child could not be made."""
        super().submit(process, inputs, **kwargs)
        raise ConnectionResetError('the channel is closed')


class Patient(SubmitOnce, Away):
    """Submits one child."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define an outline of two steps."""
        super().define(spec)
        spec.outline(cls.begin, cls.end)

    def begin(self) -> Any:
        """Submit a child under a label, and one that cannot be known again without."""
        with pytest.raises(ConnectionResetError):
            self.submit(Child)
        return ToContext(child=self.submit(Child, metadata={'call_link_label': 'child'}))

    def end(self) -> None:
        """The child ran."""
        assert self.ctx.child.is_finished_ok


@pytest.mark.usefixtures('aiida_profile')
def test_a_broker_that_is_away_ends_no_chain() -> None:
    """The stored child is waited for as any other."""
    _, node = run_get_node(Patient)
    assert node.is_finished_ok, node.exception
    assert len(node.called) == 2
