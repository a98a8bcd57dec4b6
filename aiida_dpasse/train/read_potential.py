"""A potential from the file that a program left."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.potential import DeepPotentialData


@calcfunction
def read_potential(file: orm.SinglefileData) -> DeepPotentialData:
    """Return the model in ``file`` as a potential; the repository holds its content once.

    :raises ValueError: if it is no model, or not to be trusted.
    """
    # The suffix says what it is.
    with file.as_path() as path:
        return DeepPotentialData.from_file(path)
