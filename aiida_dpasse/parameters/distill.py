"""Settings of the distillation."""

from aiida_dpasse.workflows.distill_parameters import DistillParameters as DistillParameters
