"""Steps that the outlines of many chains share."""

from __future__ import annotations

from typing import Any

from aiida.engine import while_

from aiida_dpasse.base.chain import DpasseWorkChain


def run_queue(chain: type[DpasseWorkChain]) -> Any:
    """Return the step that submits all queued children and waits for them.

    :param chain: class of the chain.
    """
    return while_(chain.queue_left)(chain.submit_queue)


def freeze_first(chain: type[DpasseWorkChain]) -> tuple[Any, ...]:
    """Return the steps that freeze checkpoints for LAMMPS and end the chain if one cannot be frozen.

    :param chain: class of the chain, with `RUNS_IN_LAMMPS`.
    """
    return chain.freeze_checkpoints, run_queue(chain), chain.check_frozen
