"""`ValidateWorkChain`: the report card of one or several potentials, universal ones beside them."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import ExitCode, Process, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.evaluate import EvaluateCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.functions.frames_from_structures import frames_from_structures
from aiida_dpasse.functions.map_descriptors import map_descriptors
from aiida_dpasse.functions.plan_validate import plan_validate
from aiida_dpasse.functions.sample_map import sample_map
from aiida_dpasse.functions.tabulate_structures import tabulate_structures
from aiida_dpasse.functions.tabulate_validation import tabulate_validation
from aiida_dpasse.workflows.chain import DpasseWorkChain
from aiida_dpasse.workflows.label import LabelWorkChain, share_of
from aiida_dpasse.workflows.validate_parameters import ValidateParameters, validate_validation

#: Input namespaces, by how the plan calls what lies in them.
PORTS = {'potential': 'potentials', 'calculator': 'calculators', 'set': 'test_sets', 'structure': 'structures'}


class ValidateWorkChain(DpasseWorkChain):
    """Test every potential and every calculator on every test set; tabulate the errors, and map the frames."""

    CODES = ('python',)
    PARAMETERS = ValidateParameters
    PROTOCOL = 'validate'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        spec.input_namespace(
            'potentials',
            valid_type=DeepPotentialData,
            dynamic=True,
            required=False,
            help='Potentials by label: frozen, compressed or checkpoints.',
        )
        spec.input_namespace(
            'calculators',
            valid_type=orm.Dict,
            dynamic=True,
            required=False,
            help="ASE calculators by label: `name` ('chgnet', a name of ASE's, or 'module:Class') and its arguments.",
        )
        spec.input_namespace(
            'test_sets', valid_type=FramesData, dynamic=True, help='Labelled frames by name, that no potential saw.'
        )
        spec.input(
            'training_data',
            valid_type=FramesData,
            required=False,
            help='What the potentials learnt from, shown in the map of descriptors beside the test sets.',
        )
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            dynamic=True,
            required=False,
            help='Crystals as the reference has them: every potential relaxes them and is compared.',
        )
        spec.inputs.validator = validate_validation
        spec.outline(
            cls.prepare,
            while_(cls.queue_left)(
                cls.submit_queue,
            ),
            cls.tabulate,
            cls.compare_structures,
            cls.draw_map,
            cls.judge,
        )
        spec.output(
            'report_card',
            valid_type=orm.Dict,
            help='`tests`, one for each potential and test set: errors overall, `per_formula`, `per_element` and '
            '`per_temperature`, and what became of every frame.',
        )
        spec.output(
            'parity',
            valid_type=orm.ArrayData,
            required=False,
            help='Points to draw: reference and prediction, by test.',
        )
        spec.output(
            'structures',
            valid_type=orm.Dict,
            required=False,
            help='`rows`, one for each potential and structure: lattice, volume, energy and energy of decomposition.',
        )
        spec.output(
            'descriptor_map',
            valid_type=orm.ArrayData,
            required=False,
            help='The frames in a plane: `test_<set>` and `training_data` (n, 2); for `pca`, `explained_variance`.',
        )
        exit_code(
            spec, 'ERROR_NO_TEST_FINISHED', message='No test gave a prediction, the first, `{key}`, because {reason}'
        )
        exit_code(
            spec,
            'ERROR_TESTS_FAILED',
            message='{count} of {total} tests failed, the first, `{key}`, because {reason} The others are attached: '
            'correct the inputs, or leave that potential out.',
        )
        exit_code(
            spec,
            'ERROR_NO_MAP',
            message='The descriptors could not be found: {reason} The errors are attached: set `descriptors.potential` '
            'to null to describe the frames without a potential.',
        )

    def prepare(self) -> None:
        """Plan the tests and queue them."""
        given = {
            f'{kind}_{label}': node for kind, port in PORTS.items() for label, node in self.inputs.get(port, {}).items()
        }
        self.ctx.plan = plan_validate(self.inputs.parameters, **given, metadata={'call_link_label': 'plan'})
        self.enqueue('make_test', sorted(self.tests))
        if 'relax' in self.ctx.plan:
            structures = self.inputs.structures
            self.ctx.crystals = frames_from_structures(structures=structures, metadata={'call_link_label': 'crystals'})
            self.enqueue('make_relaxation', sorted(self.ctx.plan['structures']['relaxations']))
        if 'map' in self.ctx.plan:
            shown = {f'test_{name}': node for name, node in self.inputs.test_sets.items()}
            shown |= {name: self.inputs[name] for name in ('training_data',) if name in self.inputs}
            self.ctx.shown = sample_map(self.ctx.plan['map'], **shown, metadata={'call_link_label': 'sample_map'})
        if 'describe' in self.ctx.plan:
            self.enqueue('make_description', ['describe'])

    @property
    def tests(self) -> dict[str, dict[str, str]]:
        """Of every test its potential, kind and set."""
        return dict(self.ctx.plan['table']['tests'])

    def make_test(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the evaluation of a potential, or the labelling by a calculator."""
        test = self.tests[key]
        label, frames = test['potential'], self.inputs.test_sets[test['set']]
        if test['kind'] == 'potential':
            return EvaluateCalculation, {
                'code': self.inputs.codes.python,
                'potentials': {label: self.inputs.potentials[label]},
                'frames': frames,
                'parameters': self.ctx.plan[f'evaluate_{label}'],
                'metadata': {'options': self.options_for('evaluate')},
            }
        return self.labelling(key, label, frames, 'label')

    def make_relaxation(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the relaxation of all structures with one potential or calculator."""
        return self.labelling(key, self.ctx.plan['structures']['relaxations'][key], self.ctx.crystals, 'relax')

    def labelling(self, key: str, label: str, frames: FramesData, plan: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the labelling of ``frames`` by the potential or calculator of a label."""
        potentials = self.inputs.get('potentials', {})
        labeller = (
            {'potential': potentials[label]} if label in potentials else {'calculator': self.inputs.calculators[label]}
        )
        return LabelWorkChain, {
            **labeller,
            'frames': frames,
            'parameters': self.ctx.plan[plan],
            **self.shared(LabelWorkChain, key),
            'codes': {'python': self.inputs.codes.python},
            'max_concurrent': share_of(self.inputs.max_concurrent, len(self.tests)),
        }

    def make_description(self, key: str) -> tuple[type[Process], dict[str, Any]]:
        """Return the evaluation of the frames of the map, with descriptors."""
        label = self.ctx.plan['map']['potential']
        return EvaluateCalculation, {
            'code': self.inputs.codes.python,
            'potentials': {label: self.inputs.potentials[label]},
            'frames': self.ctx.shown,
            'parameters': self.ctx.plan[key],
            'metadata': {'options': self.options_for('evaluate')},
        }

    def tabulate(self) -> None:
        """Bring predictions and labels together."""
        parts: dict[str, orm.Data] = {f'set_{name}': node for name, node in self.inputs.test_sets.items()}
        for key in self.tests:
            node = self.ctx.done[key]
            for name, part in (('predictions', 'predictions'), ('frames', 'labels'), ('account', 'account')):
                if name in node.outputs:
                    parts[f'{part}_{key}'] = node.outputs[name]
        self.ctx.found = tabulate_validation(self.ctx.plan['table'], **parts, metadata={'call_link_label': 'tabulate'})
        self.out_many(self.ctx.found)

    def compare_structures(self) -> None:
        """Compare the relaxed crystals with those given; one that did not relax is named with its reason."""
        if 'structures' not in self.ctx.plan:
            return
        parts = {
            f'{name}_{key}': self.ctx.done[key].outputs[name]
            for key in self.ctx.plan['structures']['relaxations']
            for name in ('frames', 'account')
            if name in self.ctx.done[key].outputs
        }
        plan, label = self.ctx.plan['structures'], {'call_link_label': 'compare'}
        self.out('structures', tabulate_structures(plan, self.ctx.crystals, **parts, metadata=label))

    def draw_map(self) -> None:
        """Lay the frames out in a plane, unless their descriptors are missing."""
        if 'map' not in self.ctx.plan or 'describe' in self.unfinished():
            return
        job = self.finished('describe').get('describe')
        described = {} if job is None else {'descriptors': job.outputs.descriptors}
        node = map_descriptors(self.ctx.plan['map'], self.ctx.shown, **described, metadata={'call_link_label': 'map'})
        self.out('descriptor_map', node)

    def judge(self) -> ExitCode | None:
        """Say which tests failed."""
        found = self.ctx.found
        failed = [test['key'] for test in found['report_card']['tests'] if not test['admitted']]
        if failed:
            node = self.ctx.done[failed[0]]
            code = self.exit_codes.ERROR_TESTS_FAILED if 'parity' in found else self.exit_codes.ERROR_NO_TEST_FINISHED
            told = {'count': len(failed), 'total': len(self.tests)} if 'parity' in found else {}
            return self.failure(node, code.format(key=failed[0], reason=node.exit_message, **told))
        if 'describe' in self.unfinished():
            node = self.ctx.done['describe']
            return self.failure(node, self.exit_codes.ERROR_NO_MAP.format(reason=node.exit_message))
        return None
