"""Submit each child once, even if the daemon's worker is killed between the submission and the next checkpoint."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import Process


class SubmitOnce:
    """Mixin for work chains whose children's call link labels are unique.

    A worker that is killed resumes the chain at its last checkpoint and repeats the step that it was in. Without this,
    the children that the step had already submitted would run beside their doubles.
    """

    ctx: Any
    node: orm.WorkChainNode

    def submit(self, process: type[Process], inputs: dict[str, Any] | None = None, **kwargs: Any) -> orm.ProcessNode:
        """Submit a child, or return the one of the same label that this step submitted before it was cut off."""
        label = {**(inputs or {}), **kwargs}.get('metadata', {}).get('call_link_label')
        calls = (LinkType.CALL_CALC, LinkType.CALL_WORK)
        links = self.node.base.links.get_outgoing(link_type=calls, link_label_filter=label).all_nodes() if label else []
        # A restart chain that was paused at its last iteration counts from one again: what it knows is no double.
        known = {node.pk for node in self.ctx.get('children', [])}
        for child in links:
            # One without checkpoint was cut off while it was stored: it can never run.
            if child.pk not in known and (child.is_terminated or child.checkpoint is not None):
                return child
        return super().submit(process, inputs, **kwargs)  # type: ignore[misc]
