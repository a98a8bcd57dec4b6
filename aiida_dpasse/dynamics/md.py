"""`MDBaseWorkChain`: one molecular dynamics run, continued over as many jobs as it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import (
    ExitCode,
    ProcessBuilder,
    ProcessHandlerReport,
    WorkChain,
    process_handler,
)
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child, DpasseWorkChain
from aiida_dpasse.base.jobs import JobBaseWorkChain
from aiida_dpasse.base.protocols import machine, protocol
from aiida_dpasse.calculations.md import MDCalculation
from aiida_dpasse.calculations.md_stops import BY_LABEL, define_stops
from aiida_dpasse.calculations.ways import backend_of, options_in_its_way
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.dynamics.merge_segments import merge_segments
from aiida_dpasse.dynamics.plan_watch import plan_watch
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.select_candidates import select_candidates
from aiida_dpasse.merging import merge
from aiida_dpasse.runs import Run

#: Outputs that are merged if a run has several segments.
MERGED = ('frames', 'thermo', 'deviation', 'results')


class MDBaseWorkChain(JobBaseWorkChain):
    """Run one molecular dynamics with LAMMPS, and continue interrupted jobs from their restart files.

    The number of segments is not limited: `max_iterations` counts consecutive segments without progress. With
    `watch.deviation`, a monitor stops the run when the committee deviation exceeds its limit.
    """

    _process_class = MDCalculation
    PROTOCOL: ClassVar[str] = 'md'
    NAMESPACE: ClassVar[str] = 'md'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.inputs['max_iterations'].help = 'Largest number of consecutive segments without progress.'
        spec.output_namespace(
            'trajectories',
            valid_type=orm.RemoteData,
            dynamic=True,
            required=False,
            help='Working directories of all segments in order, `segment_0000`..., if `trajectory_interval` is set.',
        )
        spec.output(
            'candidates',
            valid_type=FramesData,
            required=False,
            help='Unlabelled frames whose committee deviation exceeds the limit, if there are any and both '
            '`watch.deviation` and `sample_interval` are set.',
        )
        define_stops(spec)
        exit_code(
            spec,
            'ERROR_NO_PROGRESS',
            message='{count} consecutive segments did not advance beyond step {step}: increase '
            '`max_wallclock_seconds`, or correct the cause of the last failure: {reason}',
        )

    def setup(self) -> None:
        """Initialise the progress counter and, with `watch.deviation`, add the monitor of the deviation."""
        super().setup()
        self.ctx.reached = 0
        self.ctx.watch = None
        if (self.ctx.inputs.parameters.get_dict().get('watch') or {}).get('deviation'):
            self.ctx.watch = plan_watch(self.ctx.inputs.parameters, metadata={'call_link_label': 'plan_watch'})
            self.ctx.inputs.monitors = {'untrusted': self.ctx.watch['monitor'], **self.ctx.inputs.get('monitors', {})}

    def attach_outputs(self, node: orm.ProcessNode) -> None:
        """Attach the merged outputs of all segments."""
        self.attach()

    @process_handler(priority=710, exit_codes=[getattr(MDCalculation.exit_codes, label) for label in BY_LABEL])
    def stop(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """End the chain: the run would exceed the same limit again, and the part before the limit is the result."""
        return self.give_up(ExitCode(node.exit_status, node.exit_message))

    @process_handler(
        priority=700,
        exit_codes=[
            MDCalculation.exit_codes.ERROR_INTERRUPTED,
            MDCalculation.exit_codes.ERROR_OUTFILE_MISSING,
            MDCalculation.exit_codes.ERROR_DAMAGED_OUTPUT,
            MDCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY,
            MDCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME,
            MDCalculation.exit_codes.ERROR_SCHEDULER_NODE_FAILURE,
        ],
    )
    def carry_on(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Continue from the latest restart file; a segment without progress, or with damaged frames, is repeated."""
        damaged = node.exit_status == MDCalculation.exit_codes.ERROR_DAMAGED_OUTPUT.status
        step = node.outputs.results['step'] if 'results' in node.outputs and not damaged else 0
        if step > self.ctx.reached:
            self.ctx.reached = step
            self.ctx.inputs.restart_folder = node.outputs.remote_folder
            return self.again(node, f'was interrupted and continues near step {step}', in_vain=False)
        if node.exit_status == MDCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY.status:
            return self.ask_for_memory(node)
        if not damaged and self.ctx.fruitless + 1 >= self.inputs.max_iterations.value:
            given_up = self.exit_codes.ERROR_NO_PROGRESS.format(
                count=self.ctx.fruitless + 1, step=self.ctx.reached, reason=node.exit_message
            )
            return self.give_up(given_up)
        return self.again(node, f'made no progress ({node.exit_message}) and runs again')

    def results(self) -> ExitCode | None:
        """Attach the outputs of the whole run."""
        self.attach()
        return None

    def on_terminated(self) -> None:
        """Keep the working directories of a run with a trajectory, regardless of `clean_workdir`: analyses read it
        there.
        """
        if self.inputs.md.parameters.get_dict().get('trajectory_interval'):
            WorkChain.on_terminated(self)
        else:
            super().on_terminated()

    def attach(self) -> None:
        """Attach the outputs of the last segment, the merged outputs of all segments, and the trajectory folders."""
        ran = [node for node in self.ctx.children if 'results' in node.outputs]
        damaged = MDCalculation.exit_codes.ERROR_DAMAGED_OUTPUT.status
        ran = [node for node in ran if node.exit_status != damaged] or ran[-1:]
        if not ran:
            return
        outputs = {name: ran[-1].outputs[name] for name in ran[-1].outputs}
        if len(ran) > 1:
            segments = {
                name: {
                    self.segment(index): node.outputs[name] for index, node in enumerate(ran) if name in node.outputs
                }
                for name in MERGED
            }
            outputs |= merge_segments(**segments, metadata={'call_link_label': 'merge'})
        for name, node in outputs.items():
            if name in self.spec().outputs:
                self.out(name, node)
        if self.ctx.watch is not None and 'frames' in outputs:
            found = select_candidates(
                self.ctx.watch['selection'],
                self.ctx.watch['runs'],
                samples=dict.fromkeys(self.ctx.watch['runs'].get_dict(), outputs['frames']),
                metadata={'call_link_label': 'select'},
            )
            if 'candidates' in found:
                self.out('candidates', found['candidates'])
        if self.inputs.md.parameters.get_dict().get('trajectory_interval'):
            self.out(
                'trajectories', {self.segment(index): node.outputs.remote_folder for index, node in enumerate(ran)}
            )

    @staticmethod
    def segment(number: int) -> str:
        """Return the name of a segment; names sort in the order of the segments."""
        return f'segment_{number:04d}'

    # -- protocols --------------------------------------------------------------------------------------------------

    @classmethod
    def protocol_parameters(cls, name: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the parameters of a protocol, updated with ``overrides``.

        :raises ValueError: if the protocol is unknown.
        """
        return dict(merge(protocol(cls.PROTOCOL, name), overrides or {}))

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode | str,
        structure: orm.StructureData,
        potentials: Mapping[str, Potential],
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: str | Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder that is ready to be submitted.

        :param code: LAMMPS code, or its label.
        :param structure: initial structure.
        :param potentials: one potential or a committee, by name.
        :param protocol: name of the protocol, which sets the physical parameters.
        :param overrides: parameters that differ from the protocol, for example ``{'temperature': 900}``.
        :param options: name of a machine preset, or scheduler options by program.
        :raises ValueError: if the protocol or the preset is unknown.
        """
        builder = cls.get_builder()
        builder.md.code = orm.load_code(code) if isinstance(code, str) else code
        builder.md.structure = structure
        builder.md.potentials = dict(potentials)
        builder.md.parameters = orm.Dict(cls.protocol_parameters(protocol, overrides))
        programs = machine(options)
        given = merge(programs.get('default', {}), programs.get('md', {}))
        builder.md.metadata.options = options_in_its_way(given, builder.md.code, backend_of(potentials))
        return builder


def lammps_run(
    chain: DpasseWorkChain,
    run: Run,
    structure: orm.StructureData,
    potentials: Mapping[str, Potential],
    parameters: orm.Dict | None = None,
    **inputs: Any,
) -> Child:
    """Return a molecular dynamics run with LAMMPS as a child of ``chain``.

    :param chain: calling chain, with the code `lmp`.
    :param run: record of the run.
    :param structure: initial structure.
    :param potentials: one potential or a committee, by name.
    :param parameters: parameters of `dpasse.md`, by default those of the plan, `md`, by the id of the run.
    :param inputs: further inputs of `dpasse.md`.
    """
    given = {'structure': structure, 'potentials': dict(potentials), **inputs}
    given['parameters'] = chain.ctx.plan['md'][run.id] if parameters is None else parameters
    return chain.job(MDBaseWorkChain, 'md', run.label, backend_of(potentials), code=chain.inputs.codes.lmp, **given)
