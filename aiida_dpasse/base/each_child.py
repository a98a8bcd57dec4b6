"""Act when a single child finishes, while the others of the same step still run.

AiiDA calls the next step when all children have finished, and has no public hook for the end of one (2.9). No other
module uses the private members of its `WorkChain`; `tests/base/test_private_members.py` checks that they exist.
"""

from __future__ import annotations

import functools
from typing import Any

from aiida.engine.processes.workchains.awaitable import Awaitable


class EachChild:
    """Mixin for work chains that submit further children in the step in which one finishes."""

    _awaitables: list[Awaitable]
    runner: Any
    call_soon: Any

    def child_finished(self, key: str) -> None:
        """React to the end of a child; children that are submitted with ``to_context`` belong to the same step.

        :param key: key of the child in the context.
        """

    def _on_awaitable_finished(self, awaitable: Awaitable) -> None:
        known = len(self._awaitables)
        self.child_finished(awaitable.key)
        # AiiDA follows the children that a step itself has submitted.
        for new in self._awaitables[known:]:
            follow = functools.partial(self.call_soon, self._on_awaitable_finished, new)
            self.runner.call_on_process_finish(new.pk, follow)
        super()._on_awaitable_finished(awaitable)  # type: ignore[misc]
