"""`Cp2kLabelWorkChain`: labels by density-functional theory with CP2K."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida.common.exceptions import EntryPointError
from aiida.plugins import CalculationFactory

from aiida_dpasse.base.chain import Child
from aiida_dpasse.cp2k.input import missing_kinds
from aiida_dpasse.cp2k.names import objection_to_settings
from aiida_dpasse.label.batch import BatchLabelWorkChain
from aiida_dpasse.label.cp2k.parameters import Cp2kLabelParameters
from aiida_dpasse.label.cp2k.plan import plan_cp2k_label
from aiida_dpasse.label.cp2k.read import read_cp2k_labels
from aiida_dpasse.runs import Run


class Cp2kLabelWorkChain(BatchLabelWorkChain):
    """Compute energies, forces and virials of one batch of frames with CP2K.

    Frames of one formula share a job. With dynamics or relaxation each initial frame has its own job.
    """

    CODES = ('cp2k',)
    PARAMETERS = Cp2kLabelParameters
    HELP = 'CP2K, run by aiida-cp2k, for labelling.'
    EXECUTABLES = ('cp2k',)
    PLAN = staticmethod(plan_cp2k_label)
    READ = staticmethod(read_cp2k_labels)

    @classmethod
    def objection(cls, parameters: Mapping[str, Any], elements: Iterable[str]) -> str | None:
        """Check that aiida-cp2k is installed and that settings, basis sets and pseudopotentials are complete."""
        try:
            CalculationFactory('cp2k')
        except EntryPointError:
            return 'codes.cp2k: aiida-cp2k is not installed; install aiida-dpasse with its extra `cp2k`.'
        if message := super().objection(parameters, elements):
            return message
        if message := objection_to_settings(parameters['cp2k']):
            return f'parameters: {message}'
        if message := objection_to_settings(parameters['cp2k'].get('retry') or {}):
            return f'parameters: in `cp2k.retry`, {message}'
        if missing := missing_kinds(sorted(elements), parameters['cp2k']['kinds']):
            return (
                f'parameters: `cp2k.kinds` has no BASIS_SET and POTENTIAL for {missing[0]}; give them as CP2K names '
                'them in its data files.'
            )
        return None

    def make_job(self, run: Run) -> Child:
        """Return the job of ``run``."""
        plan = self.ctx.plan
        ports = {'structure': 'structures', 'parameters': 'inputs', 'trajectory': 'trajectories'}
        planned = {port: plan[nodes][run.id] for port, nodes in ports.items() if run.id in plan.get(nodes, {})}
        options = {'code': self.inputs.codes.cp2k, 'metadata': {'options': self.job_options()}}
        return CalculationFactory('cp2k'), {**planned, **options}

    def answers(self) -> dict[str, Any]:
        """Return the retrieved files of the jobs."""
        retrieved = {
            run.id: node.outputs.retrieved for run, node in self.ended('cp2k').items() if 'retrieved' in node.outputs
        }
        return {'runs': self.ctx.plan['runs'], 'retrieved': retrieved}
