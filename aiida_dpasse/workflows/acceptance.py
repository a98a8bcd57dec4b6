"""`AcceptanceWorkChain`: may a fast potential replace the slow one that taught it?"""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, Process, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.judge_student import judge_student
from aiida_dpasse.functions.make_supercell import make_supercell
from aiida_dpasse.functions.plan_acceptance import POTENTIALS, plan_acceptance
from aiida_dpasse.workflows.acceptance_parameters import AcceptanceParameters, validate_acceptance
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.conductivity import ConductivityWorkChain
from aiida_dpasse.workflows.md import MDBaseWorkChain
from aiida_dpasse.workflows.validators import validate_labelled, validate_structures


class AcceptanceWorkChain(DpasseWorkChain):
    """Test, run long and hot, run at constant energy, compare transport and speed; then judge."""

    CODES = ('lmp', 'python')
    PARAMETERS = AcceptanceParameters
    PROTOCOL = 'acceptance'
    CHILDREN = {'conductivity': ConductivityWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        for name in POTENTIALS:
            spec.input(name, valid_type=DeepPotentialData, help=f'The {name}, frozen or compressed.')
        spec.input_namespace(
            'structures', valid_type=orm.StructureData, validator=validate_structures, help='What the student is for.'
        )
        for name, whose in (('frames', "the teacher's"), ('test_data', 'reference')):
            spec.input(
                name,
                valid_type=FramesData,
                required=False,
                validator=validate_labelled,
                help=f'Frames with {whose} labels that the student never saw.',
            )
        spec.inputs.validator = validate_acceptance
        spec.outline(
            cls.prepare,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.compare_transport,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.judge,
        )
        spec.output(
            'verdict',
            valid_type=orm.Dict,
            help='`accepted`, the `reason`, and `checks`: of each the value found, its limit and a sentence.',
        )
        exit_code(
            spec,
            'ERROR_TEACHER_FAILED',
            message='The teacher itself failed in `{key}`: {reason} Choose milder conditions, or another teacher.',
        )
        exit_code(
            spec, 'ERROR_EVALUATION_FAILED', message='The test `{key}` failed: see its exit code; nothing was judged.'
        )
        exit_code(spec, 'ERROR_REFUSED', message='The student is refused. {reason}')

    def prepare(self) -> None:
        """Make the supercells and queue tests and runs."""
        structures = self.inputs.structures
        self.ctx.plan = plan_acceptance(self.inputs.parameters, **structures, metadata={'call_link_label': 'plan'})
        self.ctx.supercells = {
            label: make_supercell(
                structure, self.ctx.plan['supercell'], metadata={'call_link_label': f'supercell_{label}'}
            )
            for label, structure in structures.items()
        }
        # The two runs that are compared are neighbours in the queue: they run beside each other.
        for label in sorted(structures):
            self.enqueue('make_run', [f'hot_{name}_{label}' for name in POTENTIALS])
        self.enqueue('make_run', [f'drift_student_{label}' for label in sorted(structures) if self.drifts])
        tests = {'frames': 'against_teacher', 'test_data': 'against_reference'}
        self.enqueue('make_test', [key for name, key in tests.items() if name in self.inputs])

    @property
    def drifts(self) -> bool:
        """Whether the student runs at constant energy."""
        return self.inputs.parameters.get_dict().get('drift') is not None

    def make_run(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the dynamics ``<kind>_<potential>_<label>``."""
        kind, name, label = key.split('_', 2)
        md = {
            'code': self.inputs.codes.lmp,
            'structure': self.ctx.supercells[label],
            'potentials': {name: self.inputs[name]},
            'parameters': self.ctx.plan[f'{kind}_{label}'],
            'metadata': {'options': self.options_for('md')},
        }
        return MDBaseWorkChain, {'md': md, **self.restart(key)}

    def make_test(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the test ``against_teacher`` or ``against_reference``."""
        names = ('student',) if key == 'against_teacher' else POTENTIALS
        return EvaluateCalculation, {
            'code': self.inputs.codes.python,
            'potentials': {name: self.inputs[name] for name in names},
            'frames': self.inputs.frames if key == 'against_teacher' else self.inputs.test_data,
            'parameters': self.ctx.plan['evaluate'],
            'metadata': {'options': self.options_for('evaluate')},
        }

    def compare_transport(self) -> ExitCode | None:
        """Queue the transport with both, unless the student fell apart already."""
        for key, node in self.unfinished().items():
            if key.startswith('against'):
                return self.failure(node, self.exit_codes.ERROR_EVALUATION_FAILED.format(key=key))
            if key.startswith('hot_teacher'):
                code = self.exit_codes.ERROR_TEACHER_FAILED.format(key=key, reason=node.exit_message)
                return self.failure(node, code)
            if 'results' not in node.outputs:
                # It did not fall apart: it did not run.
                return self.failure(node, self.exit_codes.ERROR_EVALUATION_FAILED.format(key=key))
        if 'conductivity' in self.ctx.plan and not self.unfinished():
            labels = sorted(self.inputs.structures)
            self.enqueue('make_transport', [f'transport_{name}_{label}' for label in labels for name in POTENTIALS])
        return None

    def make_transport(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the conductivity chain ``transport_<potential>_<label>``."""
        _, name, label = key.split('_', 2)
        inputs = {
            'structures': {label: self.inputs.structures[label]},
            'potential': self.inputs[name],
            'parameters': self.ctx.plan['conductivity'],
            **self.shared(ConductivityWorkChain, key),
        }
        # Two of these chains run beside each other.
        return ConductivityWorkChain, {**inputs, 'max_concurrent': max(1, self.inputs.max_concurrent // 2)}

    def judge(self) -> ExitCode | None:
        """Bring together what was found, and judge."""
        done, parts = self.ctx.done, {}
        for key, node in done.items():
            outputs = node.outputs
            if key.startswith('against'):
                parts[key] = outputs.results
            elif key.startswith('transport'):
                for name in ('transport', 'arrhenius'):
                    if name in outputs:
                        parts[key.replace('transport', name, 1)] = outputs[name]
            elif not node.is_finished_ok:
                parts[f'failed_{key.replace("student_", "", 1)}'] = outputs.results
            elif key.startswith('drift'):
                for name in ('thermo', 'results'):
                    parts[key.replace('student', name, 1)] = outputs[name]
            else:
                parts[key] = outputs.results
                if 'frames' in outputs:
                    parts[key.replace('hot', 'frames', 1)] = outputs.frames
        found = judge_student(self.ctx.plan['limits'], **parts, metadata={'call_link_label': 'judge'})
        self.out('verdict', found)
        if not found['accepted']:
            return self.exit_codes.ERROR_REFUSED.format(reason=found['reason'])
        return None
