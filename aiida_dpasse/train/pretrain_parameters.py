"""Settings of a pre-training."""

from __future__ import annotations

from aiida_dpasse.train.held_out_parameters import HeldOutParameters


class PretrainParameters(HeldOutParameters):
    """Settings of a pre-training."""
