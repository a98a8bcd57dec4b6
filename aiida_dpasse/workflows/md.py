"""`MDBaseWorkChain`: one molecular dynamics, carried on over as many jobs as its walltime asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import (
    BaseRestartWorkChain,
    ExitCode,
    ProcessBuilder,
    ProcessHandlerReport,
    WorkChain,
    process_handler,
    while_,
)
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.md import MDCalculation
from aiida_dpasse.calculations.md_stops import BY_LABEL, define_stops
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.merge_segments import merge_segments
from aiida_dpasse.functions.plan_watch import plan_watch
from aiida_dpasse.functions.select_candidates import select_candidates
from aiida_dpasse.merging import merge
from aiida_dpasse.workflows.protocols.loader import machine, protocol
from aiida_dpasse.workflows.submit_once import SubmitOnce

#: Outputs of a segment that are joined if there are several.
MERGED = ('frames', 'thermo', 'deviation', 'results')


class MDBaseWorkChain(SubmitOnce, BaseRestartWorkChain):
    """Run one molecular dynamics, watched; a segment that ends at its walltime is carried on from its restart file."""

    _process_class = MDCalculation
    PROTOCOL: ClassVar[str] = 'md'
    NAMESPACE: ClassVar[str] = 'md'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.expose_inputs(MDCalculation, namespace='md')
        spec.inputs['max_iterations'].default = lambda: orm.Int(3)
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(
                cls.run_process,
                cls.inspect_process,
            ),
            cls.results,
        )
        spec.expose_outputs(MDCalculation)
        spec.output_namespace(
            'trajectories',
            valid_type=orm.RemoteData,
            dynamic=True,
            required=False,
            help='Working directories of all segments in order, if a trajectory was asked for: `segment_00`...',
        )
        spec.output(
            'candidates',
            valid_type=FramesData,
            required=False,
            help="Frames beyond the committee's trust, without labels, if `watch.deviation` and `sample_interval` are "
            'set and there are any.',
        )
        define_stops(spec)
        exit_code(
            spec,
            'ERROR_NO_PROGRESS',
            message='The last segment ended at the step at which it began: give more `max_wallclock_seconds`.',
        )

    def setup(self) -> None:
        """Take the inputs of the dynamics into the context."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(MDCalculation, 'md'))
        self.ctx.last_step = -1
        self.ctx.watch = None
        if (self.ctx.inputs.parameters.get_dict().get('watch') or {}).get('deviation'):
            self.ctx.watch = plan_watch(self.ctx.inputs.parameters, metadata={'call_link_label': 'plan_watch'})
            self.ctx.inputs.monitors = {'untrusted': self.ctx.watch['monitor'], **self.ctx.inputs.get('monitors', {})}

    @process_handler(
        priority=400,
        exit_codes=[
            MDCalculation.exit_codes.ERROR_INTERRUPTED,
            MDCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME,
        ],
    )
    def carry_on(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Go on from the latest restart file."""
        step = node.outputs.results['step'] if 'results' in node.outputs else self.ctx.last_step
        if step <= self.ctx.last_step:
            return ProcessHandlerReport(do_break=True, exit_code=self.exit_codes.ERROR_NO_PROGRESS)
        self.ctx.last_step = step
        self.ctx.inputs.restart_folder = node.outputs.remote_folder
        self.report(f'{node.process_label}<{node.pk}> was interrupted: it goes on near step {step}.')
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=410, exit_codes=[getattr(MDCalculation.exit_codes, label) for label in BY_LABEL])
    def stop(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Give up: the same start crosses the same limit again, and what came before it is what is asked for."""
        code = next(code for code in self.exit_codes.values() if code.status == node.exit_status)
        results = node.outputs.results
        step = results['stopped_at']
        return ProcessHandlerReport(do_break=True, exit_code=code.format(step=step, reason=results['reason']))

    def inspect_process(self) -> ExitCode | None:
        """Let the handlers judge; whatever ends the chain, what the segments left is attached."""
        code = super().inspect_process()
        if code is not None and code.status:
            self.attach()
        return code

    def results(self) -> ExitCode | None:
        """Attach the outputs of the whole run."""
        self.attach()
        return None

    def on_terminated(self) -> None:
        """Keep the working directories, whatever `clean_workdir` says, where a trajectory lies there to be read."""
        if self.inputs.md.parameters.get_dict().get('trajectory_interval'):
            WorkChain.on_terminated(self)
        else:
            super().on_terminated()

    def attach(self) -> None:
        """Attach the last segment's outputs, those of all segments joined, and where the trajectory lies."""
        ran = [node for node in self.ctx.children if 'results' in node.outputs]
        if not ran:
            return
        outputs = {name: ran[-1].outputs[name] for name in ran[-1].outputs}
        if len(ran) > 1:
            segments = {
                f'{name}_{index:02d}': node.outputs[name]
                for index, node in enumerate(ran)
                for name in MERGED
                if name in node.outputs
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
            self.out('trajectories', {f'segment_{i:02d}': node.outputs.remote_folder for i, node in enumerate(ran)})

    # -- protocols --------------------------------------------------------------------------------------------------

    @classmethod
    def protocol_parameters(cls, name: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the parameters of a molecular dynamics by protocol, ``overrides`` over them."""
        return dict(merge(protocol(cls.PROTOCOL, name), overrides or {}))

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: orm.AbstractCode | str,
        structure: orm.StructureData,
        potentials: Mapping[str, DeepPotentialData],
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: str | Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder that is ready to be submitted.

        :param code: LAMMPS, or its label.
        :param structure: where the dynamics starts.
        :param potentials: one potential, or a committee, by name.
        :param protocol: name of the protocol, the physics.
        :param overrides: parameters that differ from the protocol's, for example ``{'temperature': 900}``.
        :param options: name of a machine preset, or scheduler options by program.
        :raises ValueError: if protocol or preset are unknown.
        """
        builder = cls.get_builder()
        builder.md.code = orm.load_code(code) if isinstance(code, str) else code
        builder.md.structure = structure
        builder.md.potentials = dict(potentials)
        builder.md.parameters = orm.Dict(cls.protocol_parameters(protocol, overrides))
        programs = machine(options)
        builder.md.metadata.options = merge(programs.get('default', {}), programs.get('md', {}))
        return builder
