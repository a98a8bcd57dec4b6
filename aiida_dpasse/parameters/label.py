"""Settings of a labelling."""

from aiida_dpasse.calculations.label import RelaxationParameters as RelaxationParameters
from aiida_dpasse.workflows.label import LabelParameters as LabelParameters
