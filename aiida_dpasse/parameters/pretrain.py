"""Settings of a pre-training."""

from __future__ import annotations

from aiida_dpasse.parameters.held_out import HeldOutParameters


class PretrainParameters(HeldOutParameters):
    """Settings of a pre-training."""
