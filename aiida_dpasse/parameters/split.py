"""Numbers of frames that are held out of a training."""

from __future__ import annotations

from pydantic import Field

from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.sizes import PartSize


class SplitParameters(Parameters):
    """Frames held out of the training: a number, or a fraction below 1, divided among the formulas in proportion."""

    validation: PartSize = Field(default=0.0, description='Validation frames, evaluated during the training.')
    test: PartSize = Field(default=0.1, description='Test frames, evaluated with the finished potential only.')
