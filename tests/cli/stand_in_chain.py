"""The work chain of the stand-in: AiiDA's own, begun as every process of ours."""

from __future__ import annotations

from aiida.workflows.arithmetic.multiply_add import MultiplyAddWorkChain

from aiida_dpasse.calculations.one_worker import OneWorker


class StudyOfOneJob(OneWorker, MultiplyAddWorkChain):
    """Multiply in a calcfunction, add in a job."""
