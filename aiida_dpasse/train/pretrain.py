"""`PretrainWorkChain`: one potential over all compounds, tested on held-out frames."""

from __future__ import annotations

from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.train.held_out import HeldOutWorkChain
from aiida_dpasse.train.plan_pretrain import plan_pretrain
from aiida_dpasse.train.pretrain_parameters import PretrainParameters


class PretrainWorkChain(HeldOutWorkChain):
    """Split, train, test: the potential that is fine-tuned and distilled later."""

    PROTOCOL = 'pretrain'
    PARAMETERS = PretrainParameters

    def make_plan(self) -> None:
        """Turn the parameters into those of split, training and test."""
        self.ctx.plan = plan_pretrain(
            self.inputs.parameters, held_out=self.held_out, metadata={'call_link_label': 'plan'}
        )

    def potentials(self) -> dict[str, DeepPotentialData]:
        """Return the frozen potential, as LAMMPS will use it."""
        return {'pretrained': self.ctx.train.outputs.frozen}
