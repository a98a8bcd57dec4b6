"""Transfer of potentials to the machine where they are used, kept in one place so that it can be made cheaper."""

from __future__ import annotations

from pathlib import PurePosixPath

from aiida_dpasse.data.engine import Potential
from aiida_dpasse.deepmd.engine import SUFFIXES


def staged_name(node: Potential, name: str) -> str:
    """Return the file name of a potential in a job.

    :param node: potential.
    :param name: file name without a suffix.
    :return: ``name`` with the suffix of the model file, which determines the backend.
    :raises ValueError: if the model file has another suffix than those of DeePMD-kit: it is part of the script.
    """
    suffix = PurePosixPath(node.filename).suffix
    if suffix not in SUFFIXES.values():
        raise ValueError(
            f'The model file {node.filename!r} should end in one of {", ".join(sorted(set(SUFFIXES.values())))}.'
        )
    return name + suffix


def stage_potential(node: Potential, name: str) -> tuple[str, str, str]:
    """Return the entry of ``local_copy_list`` that copies a potential into a job.

    :param node: potential.
    :param name: file name without a suffix, see :func:`staged_name`.
    """
    return node.uuid, node.filename, staged_name(node, name)
