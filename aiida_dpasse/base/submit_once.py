"""Submit each child once, even if the worker is killed or the broker is away while a step submits it."""

from __future__ import annotations

import time
from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import Process

from aiida_dpasse.calculations.one_worker import OneWorker

#: Waiting times in s between attempts to send a task to a broker that is away: it reconnects after 5 s.
PAUSES = (2.0, 6.0, 12.0)


class SubmitOnce(OneWorker):
    """Mixin for work chains whose children have unique call link labels.

    A killed worker resumes the chain at its last checkpoint and repeats the interrupted step. Without this mixin, the
    children that the step had already submitted would be submitted a second time, and a broker that is away at a
    submission would end the chain with an exception. `OneWorker` refuses a second instance of the chain.
    """

    ctx: Any
    node: orm.WorkChainNode
    runner: Any

    def submit(self, process: type[Process], inputs: dict[str, Any] | None = None, **kwargs: Any) -> orm.ProcessNode:
        """Submit a child, or return the child of the same label that the interrupted step submitted already.

        :param process: process class of the child.
        :param inputs: inputs of the child; keyword arguments update them.
        """
        label = {**(inputs or {}), **kwargs}.get('metadata', {}).get('call_link_label')
        if (child := self._submitted(label)) is not None:
            return child
        try:
            return super().submit(process, inputs, **kwargs)  # type: ignore[misc]
        except Exception as exception:
            # A child that is stored with its checkpoint lacks its task at the broker only.
            if (child := self._submitted(label)) is None:
                raise
            self._send_task(child, exception)
            return child

    def _submitted(self, label: str | None) -> orm.ProcessNode | None:
        calls = (LinkType.CALL_CALC, LinkType.CALL_WORK)
        links = self.node.base.links.get_outgoing(link_type=calls, link_label_filter=label).all_nodes() if label else []
        # A restart chain paused at its last iteration counts from one again: a known child is no duplicate.
        known = {node.pk for node in self.ctx.get('children', [])}
        for child in links:
            # A child without checkpoint was interrupted while it was stored and can never run.
            if child.pk not in known and (child.is_terminated or child.checkpoint is not None):
                return child
        return None

    def _send_task(self, child: orm.ProcessNode, exception: Exception) -> None:
        name = f'{child.process_label}<{child.pk}>'
        for pause in PAUSES if self.runner.controller is not None else ():
            time.sleep(pause)
            try:
                self.runner.controller.continue_process(child.pk, nowait=False, no_reply=True)
            except Exception as failure:  # of the broker's library, which differs between brokers
                exception = failure
            else:
                return
        self.report(  # type: ignore[attr-defined]
            f'The broker did not take the task of {name} ({type(exception).__name__}): it waits until '
            '`aiida-dpasse status --repair` sends the task again.'
        )
