"""`BenchmarkWorkChain`: speed of potentials as a function of the number of atoms."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.assess.benchmark_parameters import BenchmarkParameters
from aiida_dpasse.assess.compared import check_compared, define_compared
from aiida_dpasse.assess.plan_benchmark import cells, plan_benchmark, size_key
from aiida_dpasse.assess.tabulate_benchmark import tabulate_benchmark
from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.jobs import AseMDBaseWorkChain
from aiida_dpasse.base.outline import freeze_first
from aiida_dpasse.base.structures import PlannedWorkChain, define_cells, define_structure
from aiida_dpasse.base.validators import check_dynamics_of
from aiida_dpasse.calculations.md_ase import check_dynamics
from aiida_dpasse.dynamics.md import lammps_run
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.lammps.speed import MACHINE_COMMAND, MACHINE_FILE, production_loop
from aiida_dpasse.runs import Run


def validate_benchmark(inputs: Any, port: Any = None) -> str | None:
    """Return an error message if potentials, calculators, codes, cell and sizes are not compatible.

    :param inputs: inputs of the process.
    :param port: the port namespace.
    :return: the message, or None if the inputs are valid.
    """
    structure, parameters = inputs.get('structure'), inputs.get('parameters')
    if structure is None or parameters is None:
        return None
    settings, codes = BenchmarkParameters.model_validate(parameters.get_dict()), inputs.get('codes') or {}
    potentials, calculators = (inputs.get(name) or {} for name in ('potentials', 'calculators'))
    if message := check_compared(inputs, port):
        return message
    if potentials and 'lmp' not in codes:
        return 'codes.lmp: it is required to run the potentials.'
    if calculators and 'python' not in codes:
        return 'codes.python: it is required to run the calculators.'
    for label, potential in potentials.items():
        if message := check_dynamics_of(f'potentials.{label}', potential, structure, codes):
            return message
    if calculators and (message := check_dynamics(settings.dynamics(1))):
        return f'parameters: {message}'
    try:
        cells(structure, settings)
    except ValueError as exception:
        return f'parameters: {str(exception).removeprefix("supercell: ").rstrip(".")}.'
    return None


class BenchmarkWorkChain(PlannedWorkChain):
    """Compute the speed of molecular dynamics with every potential and calculator for several cell sizes.

    The runs are executed one at a time, from the smallest cell to the largest.
    """

    OPTIONAL_CODES = ('lmp', 'python')
    PARAMETERS = BenchmarkParameters
    PROTOCOL = 'benchmark'
    RUNS_IN_LAMMPS = ('potentials',)

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.inputs['max_concurrent'].help = 'Has no effect: concurrent runs would disturb the timing.'
        define_structure(spec, 'Unit cell.')
        define_compared(spec)
        spec.inputs.validator = validate_benchmark
        spec.outline(
            *freeze_first(cls),
            cls.prepare,
            while_(cls.runs_left)(
                cls.run_next,
                cls.pass_over,
            ),
            cls.tabulate,
        )
        spec.output(
            'speed',
            valid_type=orm.Dict,
            help='`rows`, one for each potential and size: `atoms`, `seconds`, `katom_step_s`, `steps_s`, `ns_day`, '
            '`hours_million_steps` and the machine; `failed` and `skipped` with their reasons; `fits`, one for each '
            'potential.',
        )
        define_cells(spec)
        exit_code(spec, 'ERROR_NO_RUN_FINISHED', message='All runs failed. The first failure, `{run}`: {reason}.')
        exit_code(
            spec,
            'ERROR_RUNS_FAILED',
            message='{count} of {total} runs failed. The first failure, {atoms} atoms with `{potential}`: {reason}. '
            'The others are attached: use smaller cells, or omit that potential.',
        )

    def prepare(self) -> ExitCode | None:
        """Create the cells and the list of runs."""
        structure = self.inputs.structure
        self.ctx.plan = plan_benchmark(
            self.inputs.parameters,
            structure,
            potentials=self.namespace('potentials'),
            calculators=self.namespace('calculators'),
            metadata={'call_link_label': 'plan'},
        )
        self.ctx.waiting = list(self.runs)
        self.ctx.ran = []
        return self.make_cells({key: (structure, size) for key, size in sorted(self.ctx.plan['supercell'].items())})

    def runs_left(self) -> bool:
        """Whether there are runs left to execute."""
        return bool(self.ctx.waiting)

    def run_next(self) -> None:
        """Submit the next run alone and wait for it, since concurrent runs would disturb the timing."""
        key, *self.ctx.waiting = self.ctx.waiting
        self.ctx.ran = [*self.ctx.ran, key]
        self.run_child(key, *self.make_run(self.runs[key]))

    def make_run(self, run: Run) -> Child:
        """Return the molecular dynamics of one run."""
        label, size = str(run.potential), size_key(run.size)
        structure, parameters = self.ctx.cells[size], self.ctx.plan['md'][size]
        if run.what == 'md':
            potential = self.runnable(self.inputs.potentials[label])
            process, inputs = lammps_run(self, run, structure, {label: potential}, parameters)
        else:
            own = {'code': self.inputs.codes.python, 'calculator': self.inputs.calculators[label]}
            own |= {'structure': structure, 'parameters': parameters}
            process, inputs = self.job(AseMDBaseWorkChain, 'md', run.label, **own)
        metadata = inputs[process.NAMESPACE]['metadata']
        options = metadata['options']
        options['prepend_text'] = '\n'.join([options.get('prepend_text', ''), MACHINE_COMMAND]).lstrip()
        options['additional_retrieve_list'] = [*options.get('additional_retrieve_list', []), MACHINE_FILE]
        # The speed depends on the options, processes and GPUs, which are not part of the cache's hash.
        metadata['disable_cache'] = True
        return process, inputs

    def parts(self, key: str) -> dict[str, orm.Data]:
        """Return the outputs of the last job of a run: a restart work chain that gives up does not pass them on."""
        jobs = [node for node in self.ctx[key].called if isinstance(node, orm.CalcJobNode)]
        outputs = max(jobs, key=lambda node: int(node.pk)).outputs if jobs else {}
        return {name: outputs[name] for name in ('results', 'retrieved') if name in outputs}

    def pass_over(self) -> None:
        """After a failed run, drop the larger cells with the same potential."""
        run = self.runs[self.ctx.ran[-1]]
        node, parts = self.ctx[run.id], self.parts(run.id)
        if 'results' in parts and production_loop(parts['results'].get_dict()) is not None:
            return
        self.report(f'{run.label}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        same = {other.id for other in self.runs.select(what=run.what, potential=run.potential)}
        self.ctx.waiting = [key for key in self.ctx.waiting if key not in same]

    def tabulate(self) -> ExitCode | None:
        """Attach the table, and report which runs failed."""
        parts = {key: self.parts(key) for key in self.ctx.ran}
        found = tabulate_benchmark(
            self.ctx.plan['table'],
            self.ctx.plan['runs'],
            potentials={label: self.runnable(node) for label, node in self.namespace('potentials').items()},
            calculators=self.namespace('calculators'),
            **{
                name: {key: outputs[name] for key, outputs in parts.items() if name in outputs}
                for name in ('results', 'retrieved')
            },
            metadata={'call_link_label': 'tabulate'},
        )
        self.out('speed', found)
        if not found['failed']:
            return None
        first = found['failed'][0]
        if not found['rows']:
            label = self.runs[self.ctx.ran[0]].label
            return self.exit_codes.ERROR_NO_RUN_FINISHED.format(run=label, reason=first['reason'])
        return self.exit_codes.ERROR_RUNS_FAILED.format(
            count=len(found['failed']) + len(found['skipped']),
            total=len(self.runs),
            **{name: first[name] for name in ('atoms', 'potential', 'reason')},
        )
