"""Settings of a labelling."""

from aiida_dpasse.workflows.label import LabelParameters as LabelParameters
