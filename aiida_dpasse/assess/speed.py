"""`SpeedWorkChain`: speed of potentials as a function of the number of atoms."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.assess.plan_speed import cells, plan_speed, size_key
from aiida_dpasse.assess.speed_parameters import SpeedParameters
from aiida_dpasse.assess.tabulate_speed import tabulate_speed
from aiida_dpasse.base.chain import Child, DpasseWorkChain
from aiida_dpasse.base.jobs import AseMDBaseWorkChain
from aiida_dpasse.base.validators import check_dynamics_of, validate_structure
from aiida_dpasse.calculations.label import validate_calculator
from aiida_dpasse.calculations.md_ase import check_dynamics
from aiida_dpasse.data.engine import Potential
from aiida_dpasse.dynamics.md import MDBaseWorkChain
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.lammps.speed import MACHINE_COMMAND, MACHINE_FILE, production_loop
from aiida_dpasse.runs import Run, Runs


def validate_speed(inputs: Any, port: Any = None) -> str | None:
    """Return an error message if potentials, calculators, codes, cell and sizes are not compatible.

    :param inputs: inputs of the process.
    :param port: the port namespace.
    :return: the message, or None if the inputs are valid.
    """
    structure, parameters = inputs.get('structure'), inputs.get('parameters')
    if structure is None or parameters is None:
        return None
    settings, codes = SpeedParameters.model_validate(parameters.get_dict()), inputs.get('codes') or {}
    potentials, calculators = (inputs.get(name) or {} for name in ('potentials', 'calculators'))
    if not potentials and not calculators:
        return 'potentials, calculators: there is none: give one at least.'
    if twice := sorted(set(potentials) & set(calculators)):
        return f'calculators: the name `{twice[0]}` is that of a potential too: choose another.'
    if potentials and 'lmp' not in codes:
        return 'codes.lmp: it is missing; LAMMPS runs the potentials.'
    if calculators and 'python' not in codes:
        return 'codes.python: it is missing; it runs the calculators.'
    for label, potential in potentials.items():
        if message := check_dynamics_of(f'potentials.{label}', potential, structure, codes):
            return message
    for label, calculator in calculators.items():
        if message := validate_calculator(calculator, port):
            return f'calculators.{label}: {message}'
    if calculators and (message := check_dynamics(settings.dynamics(1))):
        return f'parameters: {message}'
    try:
        cells(structure, settings)
    except ValueError as exception:
        return f'parameters: {str(exception).removeprefix("supercell: ").rstrip(".")}.'
    return None


class SpeedWorkChain(DpasseWorkChain):
    """Compute the speed of molecular dynamics with every potential and calculator for several cell sizes.

    The runs are executed one at a time, from the smallest cell to the largest.
    """

    OPTIONAL_CODES = ('lmp', 'python')
    PARAMETERS = SpeedParameters
    PROTOCOL = 'speed'
    RUNS_IN_LAMMPS = ('potentials',)

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.inputs['max_concurrent'].help = 'Has no effect: two runs at once would disturb the clock of each other.'
        spec.input('structure', valid_type=orm.StructureData, validator=validate_structure, help='Unit cell.')
        spec.input_namespace(
            'potentials',
            valid_type=Potential,
            required=False,
            help='Potentials by label, which LAMMPS runs; a checkpoint is frozen first, by the code `dp`.',
        )
        spec.input_namespace(
            'calculators',
            valid_type=orm.Dict,
            required=False,
            help="ASE calculators by label, as universal potentials: `name` ('chgnet', a name of ASE's, or "
            "'module:Class') and its arguments; the code `python` runs them.",
        )
        spec.inputs.validator = validate_speed
        spec.outline(
            cls.freeze_checkpoints,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.check_frozen,
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
        exit_code(spec, 'ERROR_STRUCTURES', message='The cell cannot be repeated. {reason}')
        exit_code(spec, 'ERROR_NO_RUN_FINISHED', message='No run gave a speed, the first, `{run}`, because {reason}.')
        exit_code(
            spec,
            'ERROR_RUNS_FAILED',
            message='{count} of {total} runs gave no speed, the first, {atoms} atoms with `{potential}`, because '
            '{reason}. The others are attached: ask for smaller cells, or leave that potential out.',
        )

    def prepare(self) -> ExitCode | None:
        """Create the cells and the list of runs."""
        structure = self.inputs.structure
        self.ctx.plan = plan_speed(
            self.inputs.parameters,
            structure,
            potentials=self.namespace('potentials'),
            calculators=self.namespace('calculators'),
            metadata={'call_link_label': 'plan'},
        )
        self.ctx.waiting = list(self.runs)
        self.ctx.ran = []
        return self.make_cells({key: (structure, size) for key, size in sorted(self.ctx.plan['supercell'].items())})

    @property
    def runs(self) -> Runs:
        """All runs, in order of execution."""
        return Runs.from_dict(self.ctx.plan['runs'].get_dict())

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
        shared = {'structure': self.ctx.cells[size], 'parameters': self.ctx.plan['md'][size]}
        if run.what == 'md':
            potential = self.runnable(self.inputs.potentials[label])
            own = {'code': self.inputs.codes.lmp, 'potentials': {label: potential}}
            process, inputs = self.job(MDBaseWorkChain, 'md', run.label, **shared, **own)
        else:
            own = {'code': self.inputs.codes.python, 'calculator': self.inputs.calculators[label]}
            process, inputs = self.job(AseMDBaseWorkChain, 'md', run.label, **shared, **own)
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
        found = tabulate_speed(
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
