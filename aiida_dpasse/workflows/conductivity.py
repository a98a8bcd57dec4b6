"""`ConductivityWorkChain`: molecular dynamics at several temperatures, and the conductivity that it tells."""

from __future__ import annotations

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.label import validate_calculator
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.determine_transport import determine_transport
from aiida_dpasse.functions.lengthen_run import lengthen_run
from aiida_dpasse.functions.plan_conductivity import plan_conductivity
from aiida_dpasse.workflows.conductivity_parameters import ConductivityParameters, validate_conductivity
from aiida_dpasse.workflows.conductivity_runs import NAMES, STOPPED, ConductivityRuns, run_of
from aiida_dpasse.workflows.validators import validate_structures


class ConductivityWorkChain(ConductivityRuns):
    """Run every structure at every temperature, take statistics where the trajectories lie, fit what they say."""

    CODES = ('lmp', 'python')
    PARAMETERS = ConductivityParameters
    PROTOCOL = 'conductivity'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            validator=validate_structures,
            help='One structure, or several configurations of its disorder, which are pooled.',
        )
        spec.input('potential', valid_type=DeepPotentialData, required=False, help='Frozen or compressed potential.')
        spec.input(
            'calculator',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            validator=validate_calculator,
            help='ASE calculator in place of a potential, to compare with: slow, at constant volume, and never made '
            'longer.',
        )
        spec.input_namespace(
            'committee',
            valid_type=DeepPotentialData,
            required=False,
            help='Further potentials, trained on the same frames: they follow the runs of `potential`, and their '
            'deviation says where it is not to be trusted.',
        )
        spec.inputs.validator = validate_conductivity
        spec.outline(
            cls.setup,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.analyse_trajectories,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.determine,
            while_(cls.goes_on)(
                cls.lengthen,
                while_(cls.queue_left)(
                    cls.submit_queue,
                ),
                cls.analyse_trajectories,
                while_(cls.queue_left)(
                    cls.submit_queue,
                ),
                cls.determine,
            ),
            cls.finish,
        )
        spec.output(
            'transport',
            valid_type=orm.Dict,
            required=False,
            help='`temperatures`: for each, tracer and collective diffusion, Haven ratio, conductivities, density, '
            '`verdict` and its `reason`; `finite_size`: whether a larger cell tells the same.',
        )
        spec.output(
            'arrhenius',
            valid_type=orm.Dict,
            required=False,
            help='Activation energy, and the conductivity at `extrapolate_to` with its 16 % and 84 % quantiles.',
        )
        spec.output(
            'curves', valid_type=orm.ArrayData, required=False, help='MSD, its error and van Hove maps by temperature.'
        )
        spec.output(
            'candidates',
            valid_type=FramesData,
            required=False,
            help="Frames of all runs beyond the committee's trust, to be labelled; absent if none.",
        )
        spec.output('trust', valid_type=orm.Dict, required=False, help='Deviation of the committee in each run.')
        exit_code(spec, 'ERROR_STRUCTURES', message='The structures cannot be simulated together. {reason}')
        exit_code(
            spec,
            'ERROR_NO_RUN_FINISHED',
            message='None of the {count} runs ended well, the first because: {reason}',
        )
        exit_code(
            spec,
            'ERROR_UNDETERMINED',
            message='The conductivity is undetermined: {reason} Run longer, hotter, or in a larger cell.',
        )
        exit_code(
            spec,
            'ERROR_IMPRECISE',
            message='The diffusion is not known to {wanted:.0%} at {temperatures} within {steps} steps: accept the '
            'outputs, raise `precision.maximum_steps`, or simulate a larger cell.',
        )
        exit_code(
            spec,
            'ERROR_ALL_STOPPED',
            message='At no temperature did all runs keep their limits. {reason} Simulate colder, or train the '
            'potential on the candidates.',
        )

    def setup(self) -> ExitCode | None:
        """Make the supercells and queue all runs, the coldest first: they are the slowest to tell anything."""
        nodes = {f'committee_{label}': node for label, node in self.inputs.get('committee', {}).items()}
        self.ctx.plan = plan_conductivity(
            self.inputs.parameters, **nodes, **self.inputs.structures, metadata={'call_link_label': 'plan'}
        )
        # Of each run its parameters if it became longer, its legs that ended well, and the leg that crossed a limit;
        # and the runs that failed in any way.
        self.ctx.lengths, self.ctx.legs, self.ctx.stopped, self.ctx.lost, self.ctx.round = {}, {}, {}, [], 0
        if (code := self.make_cells()) is not None:
            return code
        self.start(sorted(key for key in self.ctx.plan if key.startswith('md_')))
        return None

    def start(self, keys: list[str]) -> None:
        """Queue runs, or legs of them."""
        self.ctx.current = keys
        self.enqueue('make_run', keys)

    def analyse_trajectories(self) -> ExitCode | None:
        """Queue the analysis of every run that ended well, beside its trajectory, all its legs together."""
        ended = []
        for key in self.ctx.current:
            run, node = run_of(key), self.ctx.done[key]
            if node.is_finished_ok:
                self.ctx.legs.setdefault(run, []).append(key)
                ended.append(key)
            else:
                self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
                self.ctx.lost.append(run)
                if node.exit_status in STOPPED:
                    self.ctx.stopped[run] = key
        if not self.ctx.legs and not self.ctx.stopped:
            first, count = self.ctx.done[self.ctx.current[0]], len(self.ctx.current)
            return self.exit_codes.ERROR_NO_RUN_FINISHED.format(count=count, reason=first.exit_message)
        self.enqueue('make_analysis', [key.replace('md_', 'transport_', 1) for key in ended])
        return None

    def determine(self) -> ExitCode | None:
        """Pool the runs of each temperature, fit the line, and say what is undetermined."""
        failed = self.unfinished('transport_')
        for key, node in failed.items():
            self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        analyses = self.analyses()
        if not analyses and not self.ctx.stopped:
            first = next(iter(failed.values()))
            return self.exit_codes.ERROR_NO_RUN_FINISHED.format(count=len(failed), reason=first.exit_message)
        found = {
            key.replace('transport', name, 1): node.outputs[name] for name in NAMES for key, node in analyses.items()
        }
        self.ctx.results = determine_transport(
            self.inputs.parameters,
            self.ctx.plan['runs'],
            **found,
            **self.dynamics(),
            metadata={'call_link_label': f'determine_{self.ctx.round}' if self.ctx.round else 'determine'},
        )
        return None

    def imprecise(self) -> list[int]:
        """Return the temperatures, by their place, at which the diffusion is not known well enough; where a run crossed
        a limit, longer ones are of no use."""
        precision = self.inputs.parameters.get_dict().get('precision')
        if precision is None:
            return []
        rows = self.ctx.results['transport']['temperatures']
        return [
            index
            for index, row in enumerate(rows)
            if not row['stopped']
            and (not row['diffusive'] or row['error_cm2_s'] > precision['relative_error'] * row['diffusivity_cm2_s'])
        ]

    def waiting(self) -> list[str]:
        """Return the runs that may become twice as long, and should."""
        wanted = self.imprecise()
        return [
            run
            for run in sorted(self.ctx.legs)
            if int(run.split('_')[-2]) in wanted
            and run not in self.ctx.lost
            and 2 * self.length(run)['steps'] <= self.inputs.parameters['precision']['maximum_steps']
        ]

    def goes_on(self) -> bool:
        """Whether runs have to become longer, and may."""
        return bool(self.waiting())

    def lengthen(self) -> None:
        """Queue another leg of the runs at the temperatures at which they tell too little."""
        self.ctx.round += 1
        keys = {run: f'{run}_leg_{len(self.ctx.legs[run])}' for run in self.waiting()}
        for run, key in keys.items():
            self.ctx.lengths[run] = lengthen_run(self.length(run), metadata={'call_link_label': f'lengthen_{key}'})
        self.start(list(keys.values()))

    def finish(self) -> ExitCode | None:
        """Say what could not be determined, or not well enough."""
        results = {**self.ctx.results, **self.choose_candidates()}
        self.out_many(results)
        rows = results['transport']['temperatures']
        stops = [row['reason'] for row in rows if row['stopped']]
        if stops and all(row['stopped'] or not row['runs'] for row in rows):
            return self.exit_codes.ERROR_ALL_STOPPED.format(reason=stops[0])
        if 'arrhenius' in results and results['arrhenius']['conductivity_mS_cm'] is None:
            return self.exit_codes.ERROR_UNDETERMINED.format(reason=results['arrhenius']['reason'])
        if places := self.imprecise():
            precision, kelvins = self.inputs.parameters['precision'], self.inputs.parameters['temperatures']
            return self.exit_codes.ERROR_IMPRECISE.format(
                wanted=precision['relative_error'],
                temperatures=', '.join(f'{kelvins[place]:g} K' for place in places),
                steps=precision['maximum_steps'],
            )
        return None
