"""`SpeedWorkChain`: how fast potentials are, by the number of atoms."""

from __future__ import annotations

from typing import Any, Literal

from aiida import orm
from aiida.engine import ExitCode, Process, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import Field, PositiveInt, model_validator

from aiida_dpasse.calculations.md import MDCalculation, validate_inputs, validate_structure
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.make_supercell import make_supercell
from aiida_dpasse.functions.plan_speed import cells, dynamics, plan_speed
from aiida_dpasse.functions.tabulate_speed import tabulate_speed
from aiida_dpasse.lammps.speed import MACHINE_COMMAND, MACHINE_FILE, production_loop
from aiida_dpasse.parameters.base import Parameters, check_parameters
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.workflows.chain import DpasseWorkChain

#: Outputs of a run that the table is made of.
PARTS = ('results', 'retrieved')


class SpeedParameters(Parameters):
    """Cells, and the run in each."""

    atoms: list[PositiveInt] | None = Field(
        default=None,
        min_length=1,
        description='Wanted numbers of atoms: of each the compact repetition of the cell that is nearest to it.',
    )
    supercells: list[float | list[int] | list[list[int]]] | None = Field(
        default=None,
        min_length=1,
        description='Cells instead of numbers of atoms, each three repetitions, a 3x3 matrix, or the smallest distance '
        'between images in A.',
    )
    ensemble: Literal['nve', 'nvt', 'npt'] = Field(description='Ensemble.')
    temperature: float = Field(gt=0, description='Temperature in K.')
    timestep: float = Field(gt=0, description='Time step in fs.')
    warm_up_steps: int = Field(
        gt=0, description='Steps before the clock runs: the first ones load and compile what the others use.'
    )
    steps: int = Field(gt=0, description='Steps that are timed.')
    seed: int = Field(ge=0, description='Seed of all velocities.')

    @model_validator(mode='after')
    def _runs(self) -> SpeedParameters:
        if (self.atoms is None) == (self.supercells is None):
            raise ValueError('`atoms`, `supercells`: give one of them, and set the other to null')
        if message := check_parameters(MDParameters, dynamics(self.model_dump(), 1)):
            raise ValueError(message)
        return self


def validate_speed(inputs: Any, _: Any) -> str | None:
    """Return one sentence if potentials, cell and sizes do not go together."""
    structure, parameters = inputs.get('structure'), inputs.get('parameters')
    if structure is None or parameters is None:
        return None
    run = {'structure': structure, 'parameters': orm.Dict(), 'code': inputs.get('codes', {}).get('lmp')}
    if message := validate_inputs({**run, 'potentials': inputs.get('potentials', {})}, None):
        # That several are a committee is no matter here: each runs by itself.
        return str(message).replace(', or several for the deviation of a committee', '')
    try:
        cells(structure, parameters.get_dict())
    except ValueError as exception:
        return f'parameters: {str(exception).removeprefix("supercell: ").rstrip(".")}.'
    return None


class SpeedWorkChain(DpasseWorkChain):
    """Run every potential in every cell, from the smallest on, one after the other, and time each."""

    CODES = ('lmp',)
    PARAMETERS = SpeedParameters
    PROTOCOL = 'speed'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.inputs['max_concurrent'].help = 'Has no effect: two runs at once would disturb the clock of each other.'
        spec.input('structure', valid_type=orm.StructureData, validator=validate_structure, help='Unit cell.')
        spec.input_namespace(
            'potentials', valid_type=DeepPotentialData, dynamic=True, help='Frozen or compressed potentials by label.'
        )
        spec.inputs.validator = validate_speed
        spec.outline(
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
        exit_code(spec, 'ERROR_NO_RUN_FINISHED', message='No run gave a speed, the first, `{key}`, because {reason}.')
        exit_code(
            spec,
            'ERROR_RUNS_FAILED',
            message='{count} of {total} runs gave no speed, the first, {atoms} atoms with `{potential}`, because '
            '{reason}. The others are attached: ask for smaller cells, or leave that potential out.',
        )

    def prepare(self) -> None:
        """Make the cells, and line the runs up."""
        plan = {'call_link_label': 'plan'}
        self.ctx.plan = plan_speed(
            self.inputs.parameters, self.inputs.structure, **self.inputs.potentials, metadata=plan
        )
        self.ctx.supercells = {
            key.removeprefix('supercell_'): make_supercell(
                self.inputs.structure, self.ctx.plan[key], metadata={'call_link_label': key}
            )
            for key in sorted(name for name in self.ctx.plan if name.startswith('supercell_'))
        }
        self.ctx.waiting = [run['key'] for run in self.ctx.plan['table']['runs']]
        self.ctx.ran = []

    def runs_left(self) -> bool:
        """Whether runs wait for their turn."""
        return bool(self.ctx.waiting)

    def run_next(self) -> None:
        """Submit the next run, and wait for it: no other one beside it."""
        key, *self.ctx.waiting = self.ctx.waiting
        self.ctx.ran = [*self.ctx.ran, key]
        self.run_child(key, *self.make_run(key))

    def make_run(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the dynamics ``run_<s>_<potential>``, one job: a run that is carried on in a second is no measure."""
        _, size, label = key.split('_', 2)
        options = self.options_for('md')
        options['prepend_text'] = '\n'.join([options.get('prepend_text', ''), MACHINE_COMMAND]).lstrip()
        options['additional_retrieve_list'] = [*options.get('additional_retrieve_list', []), MACHINE_FILE]
        return MDCalculation, {
            'code': self.inputs.codes.lmp,
            'structure': self.ctx.supercells[size],
            'potentials': {label: self.inputs.potentials[label]},
            'parameters': self.ctx.plan[f'md_{size}'],
            # The speed rests on the options, processes and cards, which the cache does not see.
            'metadata': {'options': options, 'disable_cache': True},
        }

    def pass_over(self) -> None:
        """After a run that failed, take the larger cells with the same potential out."""
        key = self.ctx.ran[-1]
        node = self.ctx[key]
        if 'results' in node.outputs and production_loop(node.outputs.results.get_dict()) is not None:
            return
        self.report(f'{key}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
        label = key.split('_', 2)[2]
        self.ctx.waiting = [other for other in self.ctx.waiting if other.split('_', 2)[2] != label]

    def tabulate(self) -> ExitCode | None:
        """Attach the table, and say which runs failed."""
        parts: dict[str, orm.Data] = {f'potential_{label}': node for label, node in self.inputs.potentials.items()}
        for key in self.ctx.ran:
            outputs = self.ctx[key].outputs
            parts |= {f'{name}_{key}': outputs[name] for name in PARTS if name in outputs}
        found = tabulate_speed(self.ctx.plan['table'], **parts, metadata={'call_link_label': 'tabulate'})
        self.out('speed', found)
        if not found['failed']:
            return None
        first = found['failed'][0]
        if not found['rows']:
            return self.exit_codes.ERROR_NO_RUN_FINISHED.format(key=self.ctx.ran[0], reason=first['reason'])
        return self.exit_codes.ERROR_RUNS_FAILED.format(
            count=len(found['failed']) + len(found['skipped']),
            total=len(self.ctx.plan['table']['runs']),
            **{name: first[name] for name in ('atoms', 'potential', 'reason')},
        )
