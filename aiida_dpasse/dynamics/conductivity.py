"""`ConductivityWorkChain`: ionic conductivity from molecular dynamics at several temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.jobs import AseMDBaseWorkChain, TransportBaseWorkChain
from aiida_dpasse.base.outline import freeze_first, run_queue
from aiida_dpasse.base.structures import PlannedWorkChain, check_elements, define_cells, define_runs, define_structures
from aiida_dpasse.base.validators import check_ion, check_same_computer
from aiida_dpasse.calculations.label import check_allowed, validate_calculator
from aiida_dpasse.calculations.md_ase import check_dynamics
from aiida_dpasse.calculations.md_stops import BY_LABEL
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.dynamics.determine_transport import determine_transport
from aiida_dpasse.dynamics.lengthen_run import lengthen_run
from aiida_dpasse.dynamics.md import lammps_run
from aiida_dpasse.dynamics.plan_conductivity import FIRST, LARGE, check_committee, plan_conductivity
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.draw_frames import draw_frames
from aiida_dpasse.frames.select_candidates import select_candidates
from aiida_dpasse.frames.union_frames import union_frames
from aiida_dpasse.merging import merge
from aiida_dpasse.runs import Run

#: Exit codes of a molecular dynamics run that exceeded one of its limits.
STOPPED = tuple(stop.status for stop in BY_LABEL.values())
#: Changes to a protocol if an ASE calculator runs the dynamics: constant volume, no extension of the runs.
WITH_CALCULATOR = {'precision': None, 'md': {'ensemble': 'nvt', 'equilibration': {'ensemble': 'nvt'}}}


def check_conductivity(inputs: Mapping[str, Any]) -> str | None:
    """Check that the inputs of a conductivity chain are consistent.

    A chain that calls this one may not know the potential yet. Without potential and calculator only the other inputs
    are checked.

    :param inputs: inputs of `ConductivityWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    if 'parameters' not in inputs:
        return None
    settings = ConductivityParameters.model_validate(inputs['parameters'].get_dict())
    structures, committee = inputs.get('structures', {}), inputs.get('committee') or {}
    if message := check_ion(structures, settings.transport.ion) or check_same_computer(inputs):
        return message
    given = {'potential': inputs.get('potential')} | {f'committee.{label}': node for label, node in committee.items()}
    for port, potential in given.items():
        if message := check_elements(port, potential, structures):
            return message
    if inputs.get('calculator') is None:
        return check_committee(committee, len(structures), settings.replicas) if committee else None
    if committee:
        return 'committee: it drives runs together with a potential, not with a calculator: omit it.'
    if settings.precision is not None:
        return 'parameters: `precision` extends runs, and those of a calculator cannot be continued: set it to null.'
    python = (inputs.get('codes') or {}).get('python')
    if message := check_allowed(inputs['calculator'], python, inputs.get('options')):
        return message
    message = check_dynamics({**settings.md, 'temperature': 1.0, 'seed': 1})
    return f'parameters: `md`: {message}' if message else None


def validate_conductivity(inputs: Any, _: Any = None) -> str | None:
    """Check that exactly one of calculator and potential is given and that all inputs are consistent.

    :param inputs: inputs of `ConductivityWorkChain`.
    :returns: one sentence that states the problem, or None.
    """
    given = [name for name in ('calculator', 'potential') if inputs.get(name) is not None]
    if len(given) != 1:
        return f'calculator, potential: give exactly one of them; {"both are" if given else "neither is"} given.'
    return check_conductivity(inputs)


class ConductivityWorkChain(PlannedWorkChain):
    """Compute the ionic conductivity from molecular dynamics at several temperatures.

    Each structure is simulated at each temperature. The trajectories are analysed on the computer where they were
    written, the runs of a temperature are pooled, and an Arrhenius line gives activation energy and extrapolated
    conductivity. With a `committee` the potentials drive the runs in turn, and the errors include the spread
    between potentials. With `precision`, runs are extended until the thermal error of the diffusion coefficient is
    sufficiently small.
    """

    CODES = ('lmp', 'python')
    PARAMETERS = ConductivityParameters
    PROTOCOL = 'conductivity'
    RUNS_IN_LAMMPS: ClassVar[tuple[str, ...]] = ('potential', 'committee')

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_structures(spec, 'One structure, or several configurations of its disorder, which are pooled.')
        spec.input(
            'potential',
            valid_type=Potential,
            validator=validate_potentials,
            required=False,
            help='The potential; a checkpoint is frozen first.',
        )
        spec.input(
            'calculator',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            validator=validate_calculator,
            help='ASE calculator instead of a potential, for comparison: slow, at constant volume, and without '
            'extension of the runs.',
        )
        spec.input_namespace(
            'committee',
            valid_type=Potential,
            validator=validate_potentials,
            required=False,
            help='Further potentials, trained on the same frames: `potential` and these drive the runs of each '
            'temperature in turn, so that the spread between potentials is part of every error.',
        )
        spec.inputs.validator = validate_conductivity
        spec.outline(
            *freeze_first(cls),
            cls.setup,
            run_queue(cls),
            cls.analyse_trajectories,
            run_queue(cls),
            cls.determine,
            while_(cls.goes_on)(
                cls.lengthen,
                run_queue(cls),
                cls.analyse_trajectories,
                run_queue(cls),
                cls.determine,
            ),
            cls.finish,
        )
        spec.output(
            'transport',
            valid_type=orm.Dict,
            required=False,
            help='`temperatures`: for each, tracer and collective diffusion, Haven ratio, conductivities, density, '
            '`variance` (thermal, configurational and model part of the error), `verdict` and its `reason`; '
            '`finite_size`: comparison with a larger cell.',
        )
        spec.output(
            'arrhenius',
            valid_type=orm.Dict,
            required=False,
            help='Activation energy, and the conductivity at `extrapolate_to` with its 68 % interval, the parts of '
            'their `variance` and whether the interval is that `interval_of_potential_only`; the same with each '
            'temperature left out (`leave_one_out`), and whether the line is curved (`bent`).',
        )
        spec.output(
            'curves', valid_type=orm.ArrayData, required=False, help='MSD, its error and van Hove maps by temperature.'
        )
        spec.output(
            'candidates',
            valid_type=FramesData,
            required=False,
            help='Frames of all runs whose committee deviation exceeds the limit, for labelling, if there are any.',
        )
        spec.output(
            'visited',
            valid_type=FramesData,
            required=False,
            help='Frames that the committee sampled in runs that exceeded a limit, before it, if there are any.',
        )
        spec.output(
            'samples',
            valid_type=FramesData,
            required=False,
            help='Frames drawn at random from all runs with a committee, to be compared with labels.',
        )
        spec.output('trust', valid_type=orm.Dict, required=False, help='Committee deviation in each run.')
        define_cells(spec)
        define_runs(spec)
        exit_code(
            spec,
            'ERROR_UNDETERMINED',
            message='The conductivity is undetermined: {reason} Use more temperatures, longer or hotter runs, or a '
            'larger cell.',
        )
        exit_code(
            spec,
            'ERROR_IMPRECISE',
            message='The thermal error of the diffusion coefficient exceeds {wanted:.0%} at {temperatures} after '
            '{steps} steps: accept the outputs, increase `precision.maximum_steps`, or use a larger cell.',
        )
        exit_code(
            spec,
            'ERROR_ALL_STOPPED',
            message='At every temperature at least one run exceeded its stability limits. {reason} Use lower '
            'temperatures, or train the potential on the candidates.',
        )

    def setup(self) -> ExitCode | None:
        """Make the supercells and queue all runs, the coldest first because their ions diffuse slowest."""
        self.ctx.plan = plan_conductivity(
            self.inputs.parameters,
            structures=self.namespace('structures'),
            committee=self.namespace('committee'),
            metadata={'call_link_label': 'plan'},
        )
        # Parameters of the extended runs and of their analyses, by the id of the run.
        self.ctx.longer, self.ctx.round = {}, 0
        if (code := self.make_supercells()) is not None:
            return code
        coldest_first: list[Run] = sorted(self.runs.values(), key=lambda run: (run.temperature or 0.0, run.number))
        self.enqueue('make_run', coldest_first)
        return None

    def make_supercells(self) -> ExitCode | None:
        """Make the supercell of each structure and, for the finite-size check, the larger one."""
        sizes = {None: 'supercell'} | ({LARGE: 'supercell_large'} if 'supercell_large' in self.ctx.plan else {})
        wanted = {
            self.supercell(label, size): (structure, self.ctx.plan[name])
            for size, name in sizes.items()
            for label, structure in self.inputs.structures.items()
        }
        if (code := self.make_cells(wanted, link='{}')) is not None:
            return code
        for size in sizes:
            cells = {label: self.ctx.cells[self.supercell(label, size)] for label in sorted(self.inputs.structures)}
            for label, cell in cells.items():
                if size and len(cell.sites) <= len(self.ctx.cells[self.supercell(label)].sites):
                    reason = f'`finite_size.supercell` of {label} gives only {cell.get_formula()}: give a larger cell.'
                    return self.exit_codes.ERROR_STRUCTURES.format(reason=reason)
            formulas = {label: cell.get_formula() for label, cell in cells.items()}
            if len(set(formulas.values())) > 1:
                found = ', '.join(f'{label}: {formula}' for label, formula in formulas.items())
                reason = f'Pooled configurations should have the same supercell formula, got {found}.'
                return self.exit_codes.ERROR_STRUCTURES.format(reason=reason)
        return None

    def supercell(self, structure: str, size: str | int | None = None) -> str:
        """Return the link label of the supercell of a structure.

        :param structure: label of the structure.
        :param size: None for the cell of the runs, `LARGE` for the larger one.
        """
        return Run('supercell', list(self.inputs.structures).index(structure), structure=structure, size=size).label

    def cell_of(self, run: Run) -> orm.StructureData:
        """Return the supercell in which ``run`` is simulated."""
        return self.ctx.cells[self.supercell(str(run.structure), run.size)]

    def parameters_of(self, run: Run, what: str) -> orm.Dict:
        """Return the parameters of ``run`` at its present length.

        :param run: any segment of the run.
        :param what: 'md' for the parameters of the dynamics, 'transport' for those of the analysis.
        """
        planned = run.follow('md', segment=None).id
        if planned in self.ctx.longer:
            return self.ctx.longer[planned][what]
        return self.ctx.plan['md'][planned] if what == 'md' else self.ctx.plan['transport']

    def make_run(self, run: Run) -> Child:
        """Return the molecular dynamics of a run, or its next segment, which continues from the previous one."""
        structure, parameters = self.cell_of(run), self.parameters_of(run, 'md')
        if 'calculator' in self.inputs:
            return self.job(
                AseMDBaseWorkChain,
                'md',
                run.label,
                code=self.inputs.codes.python,
                structure=structure,
                calculator=self.inputs.calculator,
                parameters=parameters,
            )
        given = {FIRST: self.inputs.potential, **self.namespace('committee')}
        driver = run.potential or FIRST
        # LAMMPS integrates with the first potential by name: `potential` sorts before `watch_<label>`.
        potentials = {'potential': self.runnable(given.pop(driver))}
        if 'selection' in self.ctx.plan:
            potentials |= {f'watch_{label}': self.runnable(node) for label, node in given.items()}
        before = self.segments(run)
        restart = {'restart_folder': before[-1].outputs.remote_folder} if before else {}
        return lammps_run(self, run, structure, potentials, parameters, **restart)

    def segments(self, run: Run) -> list[orm.ProcessNode]:
        """Return the segments of ``run`` that finished successfully, in order."""
        return list(self.succeeded('md', number=run.number).values())

    def analyse_trajectories(self) -> ExitCode | None:
        """Queue one analysis for each successful run; it covers all segments and runs on the trajectory's computer."""
        segment = self.ctx.round or None
        failed = self.report_failures('md', segment=segment)
        ended = self.succeeded('md', segment=segment)
        if not self.succeeded('md') and not self.stopped():
            return self.none_finished(failed)
        self.enqueue('make_analysis', [run.follow('transport') for run in ended])
        return None

    def stopped(self) -> dict[Run, orm.ProcessNode]:
        """Return the runs that exceeded a limit."""
        return {run: node for run, node in self.failed('md').items() if node.exit_status in STOPPED}

    def make_analysis(self, run: Run) -> Child:
        """Return the analysis of all segments of a run completed so far."""
        folders: dict[str, orm.RemoteData] = {}
        for number, node in enumerate(self.segments(run)):
            trajectories = (
                node.outputs.trajectories
                if 'calculator' not in self.inputs
                else {'segment': node.outputs.remote_folder}
            )
            folders |= {f'part_{number:04d}_{name}': folder for name, folder in trajectories.items()}
        return self.job(
            TransportBaseWorkChain,
            'transport',
            run.label,
            code=self.inputs.codes.python,
            trajectories=folders,
            structure=self.cell_of(run),
            parameters=self.parameters_of(run, 'transport'),
        )

    def determine(self) -> ExitCode | None:
        """Pool the runs of each temperature, fit the Arrhenius line, and report undetermined quantities."""
        failed = self.report_failures('transport', segment=self.ctx.round or None)
        analyses = self.analyses()
        if not analyses and not self.stopped():
            return self.none_finished(failed)
        self.ctx.results = determine_transport(
            self.inputs.parameters,
            self.ctx.plan['runs'],
            statistics={key: node.outputs.statistics for key, node in analyses.items()},
            results={key: node.outputs.results for key, node in analyses.items()},
            dynamics=self.dynamics(),
            metadata={'call_link_label': f'determine_{self.ctx.round}' if self.ctx.round else 'determine'},
        )
        return None

    def analyses(self) -> dict[str, orm.ProcessNode]:
        """Return the latest analysis of each successful run, by the id of the run.

        A run with fewer segments than the others of its temperature is omitted, because its statistics are sampled more
        densely.
        """
        counts = {run: len(self.segments(run)) for run in self.runs.values()}
        last = {}
        for run, count in counts.items():
            most = max(number for other, number in counts.items() if other.temperature == run.temperature)
            good = list(self.succeeded('transport', number=run.number).values())
            if good and count == most:
                last[run.id] = good[-1]
        return last

    def dynamics(self) -> dict[str, orm.Dict]:
        """Return one `results` node of each run: of a failed run the final one, otherwise that of the first segment,
        which contains the equilibration.
        """
        found = {}
        for run in self.runs.values():
            ended = [*self.failed('md', number=run.number).values(), *self.segments(run)]
            nodes = [node.outputs.results for node in ended if 'results' in node.outputs]
            if nodes:
                found[run.id] = nodes[0]
        return found

    def imprecise(self) -> list[float]:
        """Return the temperatures in K at which the diffusion coefficient misses the requested precision.

        Only the thermal part of the error counts, since longer runs do not reduce the others. Temperatures with a run
        that exceeded a limit are excluded, since a longer run would exceed it as well.
        """
        precision = self.settings.precision
        if precision is None:
            return []
        return [
            row['temperature_K']
            for row in self.ctx.results['transport']['temperatures']
            if not row['stopped'] and (not row['diffusive'] or row['variance']['thermal'] > precision.relative_error)
        ]

    def waiting(self) -> list[Run]:
        """Return the runs that miss the precision and whose length can be doubled within `precision.maximum_steps`."""
        wanted = self.imprecise()
        return [
            run
            for run in self.runs.values()
            if run.temperature in wanted
            and self.segments(run)
            and not self.failed('md', number=run.number)
            and 2 * self.parameters_of(run, 'md')['steps'] <= self.settings.precision.maximum_steps
        ]

    def goes_on(self) -> bool:
        """Return whether any run has to be extended and may be."""
        return bool(self.waiting())

    def lengthen(self) -> None:
        """Queue another segment of each run at the temperatures with insufficient precision."""
        waiting = self.waiting()
        self.ctx.round += 1
        for run in waiting:
            self.ctx.longer[run.id] = lengthen_run(
                self.parameters_of(run, 'md'),
                self.parameters_of(run, 'transport'),
                metadata={'call_link_label': run.follow('lengthen', segment=self.ctx.round).label},
            )
        self.enqueue('make_run', [run.follow('md', segment=self.ctx.round) for run in waiting])

    def choose_candidates(self) -> dict[str, orm.Data]:
        """Return the frames of all runs with a committee deviation above the limit, and statistics of the deviation.

        The frames of runs that exceeded a limit are attached as well, and some of all frames.
        """
        if 'selection' not in self.ctx.plan:
            return {}
        samples: dict[str, FramesData] = {}
        for run in self.runs.values():
            ended = self.ended('md', number=run.number)
            parts = {segment.id: node.outputs.frames for segment, node in ended.items() if 'frames' in node.outputs}
            if len(parts) > 1:
                metadata = {'call_link_label': run.follow('frames').label}
                samples[run.id] = union_frames(**parts, metadata=metadata)
            elif parts:
                [samples[run.id]] = parts.values()
        found = select_candidates(
            self.ctx.plan['selection'],
            self.ctx.plan['runs'],
            samples=samples,
            metadata={'call_link_label': 'select'},
        )
        stopped = [run.follow('md', segment=None).id for run in self.stopped()]
        self.attach_visited({key: samples[key] for key in stopped if key in samples})
        self.attach_samples(samples)
        return {'trust': found['statistics'], **{k: node for k, node in found.items() if k == 'candidates'}}

    def attach_samples(self, samples: dict[str, FramesData]) -> None:
        """Attach frames drawn from those of all runs.

        :param samples: frames by the id of the run.
        """
        if not samples:
            return
        frames = next(iter(samples.values()))
        if len(samples) > 1:
            frames = union_frames(**samples, metadata={'call_link_label': 'all_frames'})
        if frames.frames > self.ctx.plan['samples']['number']:
            frames = draw_frames(frames, self.ctx.plan['samples'], metadata={'call_link_label': 'draw'})
        self.out('samples', frames)

    def finish(self) -> ExitCode | None:
        """Attach the results and return the exit code of what is undetermined or imprecise."""
        results = {**self.ctx.results, **self.choose_candidates()}
        self.out_many(results)
        rows = results['transport']['temperatures']
        stops = [row['reason'] for row in rows if row['stopped']]
        if stops and all(row['stopped'] or not row['runs'] for row in rows):
            return self.exit_codes.ERROR_ALL_STOPPED.format(reason=stops[0])
        if 'arrhenius' in results and results['arrhenius']['conductivity_mS_cm'] is None:
            return self.exit_codes.ERROR_UNDETERMINED.format(reason=results['arrhenius']['reason'])
        if kelvins := self.imprecise():
            precision = self.settings.precision
            return self.exit_codes.ERROR_IMPRECISE.format(
                wanted=precision.relative_error,
                temperatures=', '.join(f'{kelvin:g} K' for kelvin in kelvins),
                steps=precision.maximum_steps,
            )
        return None

    # -- protocols --------------------------------------------------------------------------------------------------

    @classmethod
    def get_builder_from_protocol(
        cls,
        codes: Mapping[str, orm.AbstractCode | str],
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: str | Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> ProcessBuilder:
        """Return a builder that is ready to be submitted; parameters as in the base class.

        With a ``calculator`` each run is done once and at constant volume: `md.ensemble` and the ensemble of the
        equilibration are nvt and `precision` is null, unless ``overrides`` set them.
        """
        if inputs.get('calculator') is not None:
            overrides = merge(WITH_CALCULATOR, overrides or {})
        return super().get_builder_from_protocol(
            codes, protocol=protocol, overrides=overrides, options=options, **inputs
        )
