"""`PretrainWorkChain`: train one potential on all compounds and test it on held-out frames."""

from __future__ import annotations

from aiida_dpasse.data.engine import Potential
from aiida_dpasse.train.held_out import HeldOutWorkChain
from aiida_dpasse.train.plan_pretrain import plan_pretrain
from aiida_dpasse.train.pretrain_parameters import PretrainParameters


class PretrainWorkChain(HeldOutWorkChain):
    """Train one potential on frames of all compounds and compute its errors on held-out frames.

    The result is the starting point of fine-tuning and distillation.
    """

    PROTOCOL = 'pretrain'
    PARAMETERS = PretrainParameters

    def make_plan(self) -> None:
        """Derive the parameters of split, training and test."""
        self.ctx.plan = plan_pretrain(
            self.inputs.parameters, held_out=self.held_out, metadata={'call_link_label': 'plan'}
        )

    def potentials(self) -> dict[str, Potential]:
        """Return the frozen potential, the form that LAMMPS uses."""
        return {'pretrained': self.ctx.train.outputs.frozen}
