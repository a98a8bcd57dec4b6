"""Settings of a conductivity."""

from aiida_dpasse.workflows.conductivity_parameters import ConductivityParameters as ConductivityParameters
