"""`AcceptanceWorkChain`: tests whether a fast student potential may replace its teacher."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import freeze_first, run_queue
from aiida_dpasse.base.reasons import reason_of
from aiida_dpasse.base.structures import (
    PlannedWorkChain,
    check_elements,
    define_cells,
    define_structures,
    sampled_frames,
)
from aiida_dpasse.base.validators import check_ion, check_same_computer, define_labelled
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.distill.acceptance_parameters import AcceptanceParameters
from aiida_dpasse.distill.judge_student import judge_student
from aiida_dpasse.distill.plan_acceptance import POTENTIALS, plan_acceptance
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.dynamics.md import lammps_run
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.runs import Run


def validate_acceptance(inputs: Any, _: Any = None) -> str | None:
    """Return an error message if potentials and structures are not compatible, or the data for a limit is missing.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    structures = inputs.get('structures', {})
    for name in POTENTIALS:
        if message := check_elements(name, inputs.get(name), structures):
            return message
    if 'parameters' not in inputs:
        return None
    settings = AcceptanceParameters.model_validate(inputs['parameters'].get_dict())
    asked = [key for key in ('force_mae', 'energy_mae') if getattr(settings.limits, key) is not None]
    if asked and 'frames' not in inputs:
        return f'frames: `limits.{asked[0]}` requires frames labelled by the teacher: give some, or set it to null.'
    if settings.conductivity is not None:
        ion = settings.conductivity.transport.ion
        return check_same_computer(inputs) or check_ion(structures, ion)
    return None


class AcceptanceWorkChain(PlannedWorkChain):
    """Compute whether a student potential may replace its teacher.

    The chain evaluates the errors of the student, runs long dynamics at high temperature and dynamics at constant
    energy, compares transport and speed with the teacher, and judges all results against limits.
    """

    CODES = ('lmp', 'python')
    RUNS_IN_LAMMPS = POTENTIALS
    PARAMETERS = AcceptanceParameters
    PROTOCOL = 'acceptance'
    CHILDREN = {'conductivity': ConductivityWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        for name in POTENTIALS:
            spec.input(
                name, valid_type=Potential, validator=validate_potentials, help=f'The {name}, frozen or compressed.'
            )
        define_structures(spec, 'Structures for which the student is tested.')
        for name, whose in (('frames', "the teacher's"), ('test_data', 'reference')):
            define_labelled(
                spec,
                name,
                f'Frames with {whose} labels that were not in the training data of the student.',
                required=False,
            )
        spec.inputs.validator = validate_acceptance
        spec.outline(
            *freeze_first(cls),
            cls.prepare,
            run_queue(cls),
            cls.compare_transport,
            run_queue(cls),
            cls.judge,
        )
        spec.output(
            'verdict',
            valid_type=orm.Dict,
            help='`accepted`, the `reason`, and `checks`, each with its value, its limit and a sentence.',
        )
        spec.output(
            'visited',
            valid_type=FramesData,
            required=False,
            help='Frames of the hot runs of a student that is not accepted, for labelling with the reference method.',
        )
        define_cells(spec)
        exit_code(
            spec,
            'ERROR_TEACHER_FAILED',
            message='The teacher failed in `{key}`: {reason} Choose milder conditions, or another teacher.',
        )
        exit_code(
            spec, 'ERROR_EVALUATION_FAILED', message='The student could not be tested because `{key}` failed: {reason}'
        )
        exit_code(spec, 'ERROR_REFUSED', message='The student is not accepted. {reason}')

    def prepare(self) -> ExitCode | None:
        """Queue tests and runs, and create the supercells."""
        structures = self.namespace('structures')
        self.ctx.plan = plan_acceptance(
            self.inputs.parameters, structures=structures, metadata={'call_link_label': 'plan'}
        )
        runs = self.runs
        self.enqueue('make_run', [*runs.select(what='hot'), *runs.select(what='drift')])
        for what, port in {'against_teacher': 'frames', 'against_reference': 'test_data'}.items():
            self.enqueue('make_test', runs.select(what=what) if port in self.inputs else [])
        size = self.ctx.plan['supercell']
        return self.make_cells({label: (structure, size) for label, structure in structures.items()})

    def make_run(self, run: Run) -> Child:
        """Return the molecular dynamics of one run."""
        name = str(run.potential)
        return lammps_run(self, run, self.ctx.cells[run.structure], {name: self.runnable(self.inputs[name])})

    def make_test(self, run: Run) -> Child:
        """Return the test of the student against its teacher, or of both against reference labels."""
        names = ('student',) if run.what == 'against_teacher' else POTENTIALS
        frames = self.inputs.frames if run.what == 'against_teacher' else self.inputs.test_data
        potentials = {name: self.inputs[name] for name in names}
        return self.evaluation(run.label, potentials, frames, self.ctx.plan['evaluate'])

    def compare_transport(self) -> ExitCode | None:
        """Queue the transport calculations with both potentials, unless a run of the student has already failed."""
        for what in ('against_teacher', 'against_reference'):
            for run, node in self.report_failures(what).items():
                return self.exit_codes.ERROR_EVALUATION_FAILED.format(key=run.label, reason=reason_of(node))
        for run, node in self.report_failures('hot', potential='teacher').items():
            return self.exit_codes.ERROR_TEACHER_FAILED.format(key=run.label, reason=reason_of(node))
        fell = {**self.report_failures('hot'), **self.report_failures('drift')}
        for run, node in fell.items():
            # A run without results did not become unstable: it did not start.
            if 'results' not in node.outputs:
                return self.exit_codes.ERROR_EVALUATION_FAILED.format(key=run.label, reason=reason_of(node))
        if not fell:
            self.enqueue('make_transport', self.runs.select(what='transport'))
        return None

    def make_transport(self, run: Run) -> Child:
        """Return the conductivity calculation of one structure with one of the potentials."""
        return ConductivityWorkChain, {
            'structures': {run.structure: self.inputs.structures[run.structure]},
            'potential': self.runnable(self.inputs[run.potential]),
            'parameters': self.ctx.plan['conductivity'],
            **self.shared(ConductivityWorkChain, run.label),
        }

    def judge(self) -> ExitCode | None:
        """Collect all results and judge the student."""
        # A conductivity chain with undetermined results also returns an error, but with its transport output.
        silent = {r: node for r, node in self.report_failures('transport').items() if 'transport' not in node.outputs}
        for run, node in silent.items():
            if run.potential == 'teacher':
                return self.exit_codes.ERROR_TEACHER_FAILED.format(key=run.label, reason=reason_of(node))
        kinds: dict[str, dict[str, orm.Data]] = {}
        for run in self.runs.values():
            if run.id in self.ctx.done:
                node = self.ctx.done[run.id]
                for kind, name in outputs_of(run, node.is_finished_ok).items():
                    if name in node.outputs:
                        kinds.setdefault(kind, {})[run.id] = node.outputs[name]
        found = judge_student(
            self.ctx.plan['limits'], self.ctx.plan['runs'], **kinds, metadata={'call_link_label': 'judge'}
        )
        self.out('verdict', found)
        if not found['accepted']:
            self.attach_visited(sampled_frames(self.ended('hot', potential='student')))
            causes = [found['reason'], *(reason_of(node) for node in silent.values())]
            return self.exit_codes.ERROR_REFUSED.format(reason=' '.join(causes))
        return None


def outputs_of(run: Run, ended_well: bool) -> dict[str, str]:
    """Return the outputs of a run that are judged.

    :param run: record of the run.
    :param ended_well: whether the run finished without an error.
    :return: output names by the kind under which :func:`judge_student` takes them.
    """
    if run.what in ('against_teacher', 'against_reference'):
        return {'evaluations': 'results'}
    if run.what == 'transport':
        return {'transport': 'transport', 'arrhenius': 'arrhenius'}
    if not ended_well:
        return {'failed': 'results'}
    return {'results': 'results', **({'thermo': 'thermo'} if run.what == 'drift' else {'frames': 'frames'})}
