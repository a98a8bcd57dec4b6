"""Settings of the active learning."""

from aiida_dpasse.workflows.active_learning_parameters import ActiveLearningParameters as ActiveLearningParameters
