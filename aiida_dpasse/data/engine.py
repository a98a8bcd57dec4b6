"""DeePMD-kit in AiiDA: the class of its potentials, and the release that a code runs.

Its programs are `aiida_dpasse.deepmd.engine`; the base chains of its jobs are in `base.jobs` and `train.train`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_dpasse.data.potential import DeepPotentialData as Potential
from aiida_dpasse.data.potential import validate_potentials
from aiida_dpasse.deepmd.engine import PROGRAM

__all__ = ('VERSION_EXTRA', 'Potential', 'engine_code', 'validate_potentials', 'version_of')

#: Extra of a code that holds the version of its DeePMD-kit, set by `aiida-dpasse setup`.
VERSION_EXTRA = 'dpasse_version'


def version_of(code: orm.AbstractCode | None) -> str | None:
    """Return the version of the DeePMD-kit of a code, or None if it is unknown.

    :param code: a code of `dp`, of LAMMPS or of Python.
    """
    return None if code is None else (code.base.extras.get(VERSION_EXTRA, None) or None)


def engine_code(inputs: Mapping[str, Any]) -> orm.AbstractCode | None:
    """Return the code of DeePMD-kit among the inputs of a chain, or None.

    :param inputs: inputs with the namespace ``codes``.
    """
    return (inputs.get('codes') or {}).get(PROGRAM)
