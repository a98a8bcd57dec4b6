"""How many frames are kept out of a training."""

from __future__ import annotations

from pydantic import Field

from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.sizes import PartSize


class SplitParameters(Parameters):
    """How many frames are kept out of the training: a number, or a fraction below 1; each formula gives its share."""

    validation: PartSize = Field(default=0.0, description='Frames watched while training.')
    test: PartSize = Field(default=0.1, description='Frames that only the finished potential sees.')
