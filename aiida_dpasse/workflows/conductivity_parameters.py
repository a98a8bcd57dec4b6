"""Former place of the settings of the conductivity: chains import them from `parameters.conductivity`."""

from aiida_dpasse.parameters.conductivity import ConductivityParameters
from aiida_dpasse.workflows.conductivity import validate_conductivity

__all__ = ('ConductivityParameters', 'validate_conductivity')
