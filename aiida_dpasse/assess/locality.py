"""`LocalityWorkChain`: the range of the forces, which bounds the accuracy of a potential with a cutoff."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.assess.locality_parameters import LocalityParameters
from aiida_dpasse.assess.plan_locality import plan_locality, spheres_of
from aiida_dpasse.assess.tabulate_locality import tabulate_locality
from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import freeze_first, run_queue
from aiida_dpasse.base.structures import PlannedWorkChain, define_cells, define_runs, define_structure
from aiida_dpasse.base.validators import check_dynamics_of
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.dynamics.md import lammps_run
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.collect_samples import collect_samples
from aiida_dpasse.label.label import LabelWorkChain, labelling
from aiida_dpasse.label.sources import LABEL_CODES, define_labeller, validate_labeller
from aiida_dpasse.runs import Run


def validate_locality(inputs: Any, port: Any = None) -> str | None:
    """Return an error message if the driver, the labeller, the structure and the spheres are not compatible.

    :param inputs: inputs of the process.
    :param port: the port namespace.
    :return: the message, or None if the inputs are valid.
    """
    structure, driver = inputs.get('structure'), inputs.get('driver')
    if structure is None or driver is None or 'parameters' not in inputs:
        return None  # reported by their own ports
    if message := validate_labeller({**inputs, 'structures': {'structure': structure}}, port):
        return message.replace('structures.structure', 'structure')
    if message := check_dynamics_of('driver', driver, structure, inputs.get('codes') or {}):
        return message
    try:
        spheres_of(LocalityParameters.model_validate(inputs['parameters'].get_dict()), structure)
    except ValueError as exception:
        return f'parameters: {exception}.'
    return None


class LocalityWorkChain(PlannedWorkChain):
    """Compute how far the force on an atom depends on its environment.

    All atoms within a given distance of a centre are held fixed while the others move in molecular dynamics; the spread
    of the reference force on the centre over these frames bounds the accuracy of a potential with half that distance as
    cutoff.
    """

    CODES = ('lmp',)
    OPTIONAL_CODES = LABEL_CODES
    PARAMETERS = LocalityParameters
    PROTOCOL = 'locality'
    CHILDREN = {'label': LabelWorkChain}
    RUNS_IN_LAMMPS = ('driver',)

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_structure(spec, 'Ordered crystal, whose atoms within the spheres are held fixed.')
        spec.input(
            'driver',
            valid_type=Potential,
            validator=validate_potentials,
            help='Potential for the dynamics of the atoms outside a sphere; a checkpoint is frozen first.',
        )
        define_labeller(spec)
        spec.inputs.validator = validate_locality
        spec.outline(
            *freeze_first(cls),
            cls.setup,
            run_queue(cls),
            cls.label,
            cls.tabulate,
        )
        spec.output(
            'locality',
            valid_type=orm.Dict,
            help='`rows`: spread of the force by distance, meV/A, with standard error; `runs`: account of each run; '
            '`r_cut_A`: smallest cutoff whose bound is below the tolerance; and the `verdict`.',
        )
        spec.output('frames', valid_type=FramesData, required=False, help='Labelled frames; the source is the run.')
        spec.output(
            'account', valid_type=orm.Dict, required=False, help='Account of every frame submitted for labelling.'
        )
        define_cells(spec)
        define_runs(spec)
        exit_code(
            spec,
            'ERROR_INCOMPLETE',
            message='The spread at {distances} A is undetermined: see `runs` of the output `locality`. '
            'The other distances are attached.',
        )
        exit_code(spec, 'ERROR_LABEL_FAILED', message='The labelling failed: {reason} Partial results are attached.')

    def setup(self) -> ExitCode | None:
        """Draw the centres, create the supercell and queue one run for each distance and centre."""
        structure = self.inputs.structure
        self.ctx.plan = plan_locality(self.inputs.parameters, structure, metadata={'call_link_label': 'plan'})
        self.enqueue('make_run', self.runs.values())
        return self.make_cells({'crystal': (structure, self.ctx.plan['supercell'])}, link='supercell')

    def make_run(self, run: Run) -> Child:
        """Return the molecular dynamics around one centre."""
        return lammps_run(self, run, self.ctx.cells['crystal'], {'driver': self.runnable(self.inputs.driver)})

    def label(self) -> ExitCode | None:
        """Label the frames of all successful runs in a single labelling."""
        failed = self.report_failures('md')
        samples = {run.id: node.outputs.frames for run, node in self.succeeded('md').items()}
        if not samples:
            return self.none_finished(failed)
        gather = {'call_link_label': 'gather'}
        self.ctx.samples = collect_samples(self.ctx.plan['spheres'], samples=samples, metadata=gather)
        self.run_child('labelling', *labelling(self, 'label', self.ctx.samples, self.ctx.plan['label']))
        return None

    def tabulate(self) -> ExitCode | None:
        """Attach the table and the labels, including those of a failed labelling, and report what is missing."""
        node = self.ctx.labelling
        if 'account' not in node.outputs:
            return self.exit_codes.ERROR_LABEL_FAILED.format(reason=node.exit_message)
        labelling = {name: node.outputs[name] for name in ('frames', 'account') if name in node.outputs}
        self.out_many(labelling)
        plan, metadata = self.ctx.plan, {'call_link_label': 'tabulate'}
        table = tabulate_locality(plan['spheres'], plan['runs'], self.ctx.samples, **labelling, metadata=metadata)
        self.out('locality', table)
        self.report(table['verdict'])
        if not node.is_finished_ok:
            return self.exit_codes.ERROR_LABEL_FAILED.format(reason=node.exit_message)
        unknown = [f'{row["distance_A"]:g}' for row in table['rows'] if row['force_spread_meV_A'] is None]
        return self.exit_codes.ERROR_INCOMPLETE.format(distances=', '.join(unknown)) if unknown else None
