"""Submit each child once, even if the daemon worker is killed between the submission and the next checkpoint."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import Process


class SubmitOnce:
    """Mixin for work chains whose children have unique call link labels.

    A killed worker resumes the chain at its last checkpoint and repeats the interrupted step. Without this mixin, the
    children that the step had already submitted would be submitted a second time.
    """

    ctx: Any
    node: orm.WorkChainNode

    def submit(self, process: type[Process], inputs: dict[str, Any] | None = None, **kwargs: Any) -> orm.ProcessNode:
        """Submit a child, or return the child of the same label that the interrupted step submitted already.

        :param process: process class of the child.
        :param inputs: inputs of the child; keyword arguments update them.
        """
        label = {**(inputs or {}), **kwargs}.get('metadata', {}).get('call_link_label')
        calls = (LinkType.CALL_CALC, LinkType.CALL_WORK)
        links = self.node.base.links.get_outgoing(link_type=calls, link_label_filter=label).all_nodes() if label else []
        # A restart chain paused at its last iteration counts from one again: a known child is no duplicate.
        known = {node.pk for node in self.ctx.get('children', [])}
        for child in links:
            # A child without checkpoint was interrupted while it was stored and can never run.
            if child.pk not in known and (child.is_terminated or child.checkpoint is not None):
                return child
        return super().submit(process, inputs, **kwargs)  # type: ignore[misc]
