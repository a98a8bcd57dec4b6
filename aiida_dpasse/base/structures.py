"""Ports, exit codes and checks of chains that simulate structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import DpasseWorkChain
from aiida_dpasse.base.validators import validate_structure, validate_structures
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.collect_samples import after_start, collect_samples
from aiida_dpasse.runs import Run, Runs


def define_structures(spec: WorkChainSpec, use: str) -> None:
    """Define the namespace `structures`.

    :param spec: specification of the chain.
    :param use: help text.
    """
    spec.input_namespace('structures', valid_type=orm.StructureData, validator=validate_structures, help=use)


def define_structure(spec: WorkChainSpec, use: str) -> None:
    """Define the input `structure`; parameters as in `define_structures`."""
    spec.input('structure', valid_type=orm.StructureData, validator=validate_structure, help=use)


def define_cells(spec: WorkChainSpec) -> None:
    """Define the exit code of a chain that makes supercells (see `DpasseWorkChain.make_cells`)."""
    exit_code(spec, 'ERROR_STRUCTURES', message='The structures cannot be simulated: {reason}')


def define_runs(spec: WorkChainSpec) -> None:
    """Define the exit code of a chain none of whose runs succeeded (`PlannedWorkChain.none_finished`)."""
    exit_code(spec, 'ERROR_NO_RUN_FINISHED', message='All {count} runs failed. The first failure: {reason}')


def check_elements(port: str, potential: Potential | None, structures: Mapping[str, orm.StructureData]) -> str | None:
    """Check that the type map of a potential contains the elements of all structures.

    :param port: name of the input port of the potential, for the message.
    :param potential: the potential; None is accepted.
    :param structures: structures by label.
    :returns: one sentence that states the problem, or None.
    """
    if potential is None:
        return None
    for label, structure in structures.items():
        if message := potential.check_elements(sorted(structure.get_symbols_set()), f'the structure `{label}`'):
            return f'{port}: {message}'
    return None


def sampled_frames(runs: Mapping[Run, orm.ProcessNode]) -> dict[str, FramesData]:
    """Return the sampled frames of runs by id, without runs that have no such output.

    :param runs: processes by run.
    """
    return {run.id: node.outputs.frames for run, node in runs.items() if 'frames' in node.outputs}


class PlannedWorkChain(DpasseWorkChain):
    """Base class of the chains whose children are listed in the node `runs` of their plan."""

    @property
    def runs(self) -> Runs:
        """All planned children."""
        return Runs.from_dict(self.ctx.plan['runs'].get_dict())

    def attach_visited(self, samples: Mapping[str, FramesData]) -> None:
        """Attach the frames after the first step of runs as the output `visited`, if there are any.

        :param samples: sampled frames by the id of the run.
        """
        if sampled := after_start(samples):
            self.out('visited', collect_samples(samples=sampled, metadata={'call_link_label': 'visited'}))

    def none_finished(self, failed: Mapping[Any, orm.ProcessNode]) -> ExitCode:
        """Return ERROR_NO_RUN_FINISHED with the exit message of the first failed run.

        :param failed: processes of the failed runs, at least one.
        """
        first = next(iter(failed.values()))
        return self.exit_codes.ERROR_NO_RUN_FINISHED.format(count=len(failed), reason=first.exit_message)
