"""Parameters of `PretrainWorkChain`."""

from __future__ import annotations

from aiida_dpasse.train.held_out_parameters import HeldOutParameters


class PretrainParameters(HeldOutParameters):
    """Training, split and seed of a pre-training."""
