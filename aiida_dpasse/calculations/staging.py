"""How a potential reaches the machine where it is used: the one place to change when that is to cost less."""

from __future__ import annotations

from pathlib import PurePosixPath

from aiida_dpasse.data.potential import DeepPotentialData


def staged_name(node: DeepPotentialData, name: str) -> str:
    """Return the file name of ``node`` in a job: ``name`` with the model's suffix, which tells the backend."""
    return name + PurePosixPath(node.filename).suffix


def stage_potential(node: DeepPotentialData, name: str) -> tuple[str, str, str]:
    """Return the entry of ``local_copy_list`` that lays ``node`` down under :func:`staged_name`."""
    return node.uuid, node.filename, staged_name(node, name)
