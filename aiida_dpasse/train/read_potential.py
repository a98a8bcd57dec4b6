"""Read a potential from the output file of a program."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.engine import Potential


@calcfunction
def read_potential(file: orm.SinglefileData) -> Potential:
    """Read a potential from a model file; the repository stores the content once.

    :param file: model file of DeePMD-kit, whose suffix gives its kind.
    :returns: the potential.
    :raises ValueError: if the file is no model, or unsafe to load.
    """
    with file.as_path() as path:
        return Potential.from_file(path)
