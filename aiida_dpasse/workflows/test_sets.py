"""`TestSetsWorkChain`: labelled frames near equilibrium and along a heating, to test potentials on."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.account_test_sets import account_test_sets
from aiida_dpasse.functions.make_supercell import make_supercell
from aiida_dpasse.functions.plan_test_sets import PARTS, plan_test_sets
from aiida_dpasse.functions.sample_runs import sample_runs
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.label import LabelWorkChain, share_of
from aiida_dpasse.workflows.label_sources import LABEL_CODES, define_labeller, labeller_of
from aiida_dpasse.workflows.md import MDBaseWorkChain
from aiida_dpasse.workflows.test_sets_parameters import TestSetsParameters, validate_test_sets
from aiida_dpasse.workflows.validators import validate_structures

#: The potential that labels has a name of its own: another one drives the dynamics.
TEACHER = 'teacher'


class TestSetsWorkChain(DpasseWorkChain):
    """Run the potential from each crystal, cold for a moment and heated linearly; label what it came by."""

    #: No class of tests, whatever its name says to pytest.
    __test__ = False
    CODES = ('lmp',)
    OPTIONAL_CODES = LABEL_CODES
    PARAMETERS = TestSetsParameters
    PROTOCOL = 'test_sets'
    CHILDREN = {'label': LabelWorkChain}

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            validator=validate_structures,
            help='Ordered crystals, by label, from which the runs start.',
        )
        spec.input('potential', valid_type=DeepPotentialData, help='Frozen potential whose dynamics is sampled.')
        define_labeller(spec, TEACHER)
        spec.inputs.validator = validate_test_sets
        spec.outline(
            cls.prepare,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.sample,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.results,
        )
        spec.output(
            'near_equilibrium',
            valid_type=FramesData,
            required=False,
            help='Labelled frames of the cold runs, with their steps; the source of a frame names its run.',
        )
        spec.output('heating', valid_type=FramesData, required=False, help='The same of the heated runs.')
        spec.output(
            'temperatures',
            valid_type=orm.Dict,
            help='At what temperatures the frames of each set were taken: the parameter of `dpasse.validate`.',
        )
        spec.output(
            'account',
            valid_type=orm.Dict,
            help='`frames`, every planned one with its run, step, temperature and state; `requested`, `admitted`, '
            '`rejected`, `failed` with reasons, `objections`; `runs`, how far each came.',
        )
        exit_code(spec, 'ERROR_STRUCTURES', message='The structures cannot be repeated. {reason}')
        exit_code(
            spec,
            'ERROR_NO_FRAME_SAMPLED',
            message='No run of `{part}` came to a frame, the first because {reason} Shorten `md.timestep`, or give a '
            'potential that was trained further; what there is of the other set is attached.',
        )
        exit_code(
            spec,
            'ERROR_LABEL_FAILED',
            message='The labelling of `{part}` failed, with the good labels attached: {reason}',
        )

    def prepare(self) -> ExitCode | None:
        """Plan the runs, make the supercells and queue the runs."""
        structures = self.inputs.structures
        self.ctx.plan = plan_test_sets(self.inputs.parameters, **structures, metadata={'call_link_label': 'plan'})
        self.ctx.cells, self.ctx.samples = {}, {}
        for label, structure in structures.items():
            metadata = {'call_link_label': f'supercell_{label}'}
            try:
                self.ctx.cells[label] = make_supercell(structure, self.ctx.plan['supercell'], metadata=metadata)
            except ValueError as exception:
                return self.exit_codes.ERROR_STRUCTURES.format(reason=str(exception))
        self.enqueue('make_run', sorted(self.planned))
        return None

    @property
    def planned(self) -> dict[str, dict[str, Any]]:
        """Of every run its part, its structure and the steps of its frames."""
        return dict(self.ctx.plan['sample']['runs'])

    @property
    def parts(self) -> list[str]:
        """The test sets that are asked for."""
        return [part for part in PARTS if part in self.ctx.plan['sample']['lines']]

    def make_run(self, key: str) -> tuple[type[MDBaseWorkChain], dict[str, Any]]:
        """Return run ``key``."""
        md = {
            'code': self.inputs.codes.lmp,
            'structure': self.ctx.cells[self.planned[key]['structure']],
            'potentials': {'potential': self.inputs.potential},
            'parameters': self.ctx.plan[key],
            'metadata': {'options': self.options_for('md')},
        }
        return MDBaseWorkChain, {'md': md, **self.restart(key)}

    def sample(self) -> None:
        """Take the frames of each part, those before an early end included, and queue their labelling."""
        for key, node in self.unfinished().items():
            done = node.outputs.results['step'] if 'results' in node.outputs else 'no step'
            self.report(f'{key}<{node.pk}> ended at {done}, with exit code {node.exit_status}: {node.exit_message}')
        for part in self.parts:
            runs = {key: run for key, run in self.planned.items() if run['part'] == part}
            frames = {key: self.ctx.done[key].outputs.frames for key in runs if self.came_to_a_frame(key)}
            if frames:
                self.ctx.samples[part] = sample_runs(
                    self.ctx.plan['sample'], **frames, metadata={'call_link_label': f'sample_{part}'}
                )
        self.enqueue('make_labels', [f'label_{part}' for part in self.ctx.samples])

    def came_to_a_frame(self, key: str) -> bool:
        """Whether run ``key`` came to the step of its first frame."""
        outputs = self.ctx.done[key].outputs
        return 'frames' in outputs and any(
            int(item.steps.max()) >= self.planned[key]['steps'][0] for item in outputs.frames.sets()
        )

    def make_labels(self, key: str) -> tuple[type[LabelWorkChain], dict[str, Any]]:
        """Return the labelling of one part."""
        return LabelWorkChain, {
            **labeller_of(self.inputs, TEACHER),
            'frames': self.ctx.samples[key.removeprefix('label_')],
            'parameters': self.ctx.plan['label'],
            **self.shared(LabelWorkChain, key),
            'max_concurrent': share_of(self.inputs.max_concurrent, len(self.ctx.samples)),
        }

    def results(self) -> ExitCode | None:
        """Attach the sets, their temperatures and the account of all frames; say what failed."""
        parts: dict[str, orm.Data] = {f'samples_{part}': node for part, node in self.ctx.samples.items()}
        for key in self.planned:
            if 'results' in self.ctx.done[key].outputs:
                parts[f'results_{key}'] = self.ctx.done[key].outputs.results
        labels = {part: self.ctx.done[f'label_{part}'] for part in self.ctx.samples}
        for part, node in labels.items():
            if 'account' in node.outputs:
                parts[f'account_{part}'] = node.outputs.account
            if 'frames' in node.outputs:
                self.out(part, node.outputs.frames)
        self.out_many(account_test_sets(self.ctx.plan['sample'], **parts, metadata={'call_link_label': 'account'}))
        for part, node in labels.items():
            if not node.is_finished_ok:
                return self.failure(
                    node, self.exit_codes.ERROR_LABEL_FAILED.format(part=part, reason=node.exit_message)
                )
        for part in self.parts:
            if part not in labels:
                first = next(self.ctx.done[key] for key in sorted(self.planned) if self.planned[key]['part'] == part)
                code = self.exit_codes.ERROR_NO_FRAME_SAMPLED.format(part=part, reason=first.exit_message)
                return self.failure(first, code)
        return None
