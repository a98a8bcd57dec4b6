"""Settings of the initial data."""

from aiida_dpasse.workflows.initial_data import InitialDataParameters as InitialDataParameters
