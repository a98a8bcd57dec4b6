"""`ScreenWorkChain`: ranking of structures by the landscapes of their mobile ions."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.jobs import ScanBaseWorkChain
from aiida_dpasse.base.outline import run_queue
from aiida_dpasse.base.structures import PlannedWorkChain, check_elements, define_runs, define_structures
from aiida_dpasse.calculations.label import CALCULATOR_HELP, check_allowed, validate_calculator
from aiida_dpasse.calculations.scan import check_mobile
from aiida_dpasse.data.engine import Potential, validate_potentials, version_of
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain, check_conductivity
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.runs import Run
from aiida_dpasse.screen.plan_screen import plan_screen
from aiida_dpasse.screen.screen_parameters import ScreenParameters
from aiida_dpasse.screen.tabulate_screen import tabulate_screen, tabulate_top


def validate_screen(inputs: Any, _: Any = None) -> str | None:
    """Return an error message if labeller, structures, codes and parameters are not compatible.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    structures, codes = inputs.get('structures') or {}, inputs.get('codes') or {}
    if not structures or 'parameters' not in inputs:
        return None  # reported by their own ports
    given = [name for name in ('calculator', 'potential') if inputs.get(name) is not None]
    if len(given) != 1:
        return f'calculator, potential: give exactly one of them; {"both are" if given else "neither is"} given.'
    settings = ScreenParameters.model_validate(inputs['parameters'].get_dict())
    for label, structure in structures.items():
        if message := check_mobile(f'structures.{label}', structure, settings.scan.ion):
            return message
    if message := check_allowed(inputs.get('calculator'), codes.get('python'), inputs.get('options')):
        return message
    if (potential := inputs.get('potential')) is not None:
        if message := check_elements('potential', potential, structures):
            return message
        if message := potential.check_usable_in_python(version_of(codes.get('python'))):
            return f'potential: {message}'
    if settings.conductivity is None:
        return None
    if 'lmp' not in codes:
        return 'codes.lmp: it is required for `conductivity`.'
    message = check_conductivity({**inputs, 'parameters': orm.Dict(settings.conductivity.model_dump())})
    return message and message.replace('parameters: `', 'parameters: `conductivity.')


class ScreenWorkChain(PlannedWorkChain):
    """Rank structures by the free volume of their mobile ions, and simulate the best.

    Each structure is scanned by a job of its own, the smallest first, so that a screening that was stopped goes on
    where it was; a structure that fails does not stop the others.
    """

    CODES = ('python',)
    OPTIONAL_CODES = ('lmp',)
    PARAMETERS = ScreenParameters
    PROTOCOL = 'screen'
    CHILDREN = {'conductivity': ConductivityWorkChain}
    RUNS_IN_LAMMPS = ()

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_structures(spec, 'Ordered crystals to rank.')
        spec.input(
            'calculator',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            validator=validate_calculator,
            help=CALCULATOR_HELP,
        )
        spec.input(
            'potential',
            valid_type=Potential,
            validator=validate_potentials,
            required=False,
            help='Potential that scans, instead of a calculator.',
        )
        spec.inputs.validator = validate_screen
        spec.outline(
            cls.setup,
            run_queue(cls),
            cls.rank,
            run_queue(cls),
            cls.tabulate,
        )
        spec.output(
            'ranking',
            valid_type=orm.Dict,
            help='`rows`, best first: `rank`, `structure`, `xi`, free volumes, levels of percolation (null if above '
            '`highest_level_eV`), `volume_per_anion_A3`, and the cost; and `failed`, with reasons.',
        )
        spec.output(
            'conductivities',
            valid_type=orm.Dict,
            required=False,
            help='`rows` of the simulated structures: activation energy and extrapolated conductivity.',
        )
        define_runs(spec)
        exit_code(
            spec,
            'ERROR_INCOMPLETE',
            message='{count} of {total} structures have no scan or no conductivity: {labels}. The others are attached.',
        )

    def setup(self) -> None:
        """Queue one scan for each structure."""
        structures = self.namespace('structures')
        self.ctx.plan = plan_screen(self.inputs.parameters, structures=structures, metadata={'call_link_label': 'plan'})
        self.enqueue('make_scan', self.runs.values())

    def make_scan(self, run: Run) -> Child:
        """Return the scan of one structure."""
        given = {name: self.inputs[name] for name in ('calculator', 'potential') if name in self.inputs}
        given |= {'structure': self.inputs.structures[run.structure], 'parameters': self.ctx.plan['scan']}
        return self.job(ScanBaseWorkChain, 'scan', run.label, code=self.inputs.codes.python, **given)

    def rank(self) -> ExitCode | None:
        """Attach the ranking, and queue the molecular dynamics of the best structures."""
        failed = self.report_failures('scan')
        results = {run.id: node.outputs.results for run, node in self.succeeded('scan').items()}
        if not results:
            return self.none_finished(failed)
        self.ctx.ranking = tabulate_screen(
            self.ctx.plan['runs'],
            structures=self.namespace('structures'),
            results=results,
            metadata={'call_link_label': 'rank'},
        )
        self.out('ranking', self.ctx.ranking)
        best = self.ctx.ranking['rows'][0]
        self.report(
            f'{len(results)} structures are ranked; the first is {best["structure"]} with Xi = {best["xi"]:.2f}'
        )
        if 'conductivity' in self.ctx.plan:
            labels = [row['structure'] for row in self.ctx.ranking['rows'][: self.settings.top]]
            self.enqueue('make_transport', [Run('conductivity', n, structure=label) for n, label in enumerate(labels)])
        return None

    def make_transport(self, run: Run) -> Child:
        """Return the molecular dynamics of one structure."""
        given = {name: self.inputs[name] for name in ('calculator', 'potential') if name in self.inputs}
        return ConductivityWorkChain, {
            'structures': {run.structure: self.inputs.structures[run.structure]},
            'parameters': self.ctx.plan['conductivity'],
            **given,
            **self.shared(ConductivityWorkChain, run.label),
        }

    def tabulate(self) -> ExitCode | None:
        """Attach the conductivities, and report which structures are missing."""
        simulated = self.ended('conductivity')
        found = {
            str(run.structure): node.outputs.arrhenius for run, node in simulated.items() if 'arrhenius' in node.outputs
        }
        if found:
            self.out(
                'conductivities', tabulate_top(self.ctx.ranking, arrhenius=found, metadata={'call_link_label': 'top'})
            )
        missing = {str(run.structure) for run in self.failed('scan')}
        missing |= {str(run.structure) for run in self.report_failures('conductivity') if run.structure not in found}
        if not missing:
            return None
        return self.exit_codes.ERROR_INCOMPLETE.format(
            count=len(missing), total=len(self.inputs.structures), labels=', '.join(sorted(missing))
        )
