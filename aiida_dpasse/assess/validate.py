"""`ValidateWorkChain`: the report card of one or several potentials, optionally compared with universal potentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.assess.compared import check_compared, define_compared
from aiida_dpasse.assess.map_descriptors import map_descriptors
from aiida_dpasse.assess.plan_validate import plan_validate
from aiida_dpasse.assess.sample_map import LEARNT, sample_map
from aiida_dpasse.assess.tabulate_structures import tabulate_structures
from aiida_dpasse.assess.tabulate_validation import tabulate_validation
from aiida_dpasse.assess.validate_parameters import HeatingParameters, ValidateParameters
from aiida_dpasse.base.chain import Child
from aiida_dpasse.base.outline import run_queue
from aiida_dpasse.base.structures import PlannedWorkChain, check_elements
from aiida_dpasse.base.validators import validate_structures
from aiida_dpasse.calculations.evaluate import validate_inputs
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.frames.frames_from_structures import frames_from_structures
from aiida_dpasse.label.label import LabelWorkChain
from aiida_dpasse.runs import Run


def validate_validation(inputs: Any, port: Any = None) -> str | None:
    """Return an error message if potentials, test sets and parameters are not compatible.

    :param inputs: inputs of the process.
    :param port: the port namespace.
    :return: the message, or None if the inputs are valid.
    """
    if 'parameters' not in inputs:
        return None
    potentials, sets = inputs.get('potentials') or {}, inputs.get('test_sets') or {}
    settings = ValidateParameters.model_validate(inputs['parameters'].get_dict())
    if message := check_compared(inputs, port):
        return message
    if not sets:
        return 'test_sets: give at least one set of labelled frames, by name.'
    for name, frames in sets.items():
        if not frames.labelled:
            return f'test_sets.{name}: the frames have no energies and forces: label them with `dpasse.label` first.'
    if unknown := sorted(set(settings.heads) - set(potentials)):
        return f'parameters: `heads.{unknown[0]}` is not a label of `potentials`.'
    by = None if settings.descriptors is None else settings.descriptors.potential
    learnt = inputs.get('training_data')
    if by is not None and by not in potentials:
        return f'parameters: `descriptors.potential` ({by}) is not a label of `potentials`.'
    if learnt is not None and settings.descriptors is None:
        return 'training_data: it is used only in the map of descriptors: set `descriptors`, or omit it.'
    for name, node in sets.items():
        for label, potential in potentials.items():
            if message := _objection(inputs, label, potential, node, settings.heads):
                return f'{message} (test_sets.{name})'
    both = by is not None and learnt is not None
    if both and (message := _objection(inputs, str(by), potentials[by], learnt, settings.heads)):
        return f'{message} (training_data)'
    structures = inputs.get('structures') or {}
    return _check_structures(settings, structures, potentials) or _check_temperatures(settings, sets)


def _objection(inputs: Any, label: str, potential: Any, frames: Any, heads: Mapping[str, str]) -> str | None:
    """Return the objection that `dpasse.evaluate` would raise, before anything is submitted."""
    own = {'heads': {label: heads[label]}} if label in heads else {}
    given = {'frames': frames, 'potentials': {label: potential}, 'parameters': orm.Dict(own)}
    if 'python' in (inputs.get('codes') or {}):
        given['code'] = inputs['codes']['python']
    return validate_inputs(given, None)


def _check_structures(
    settings: ValidateParameters, structures: Mapping[str, Any], potentials: Mapping[str, Any]
) -> str | None:
    if unknown := sorted(set(settings.decomposition) - set(structures)):
        return f'parameters: `decomposition.{unknown[0]}` is not a label of `structures`.'
    if structures and (message := validate_structures(structures)):
        return message
    for label, potential in potentials.items() if structures else ():
        if potential.heads:
            return f'potentials.{label}: it has several heads: freeze one of them to relax structures with it.'
        if message := check_elements(f'potentials.{label}', potential, structures):
            return message
    return None


def _check_temperatures(settings: ValidateParameters, sets: Mapping[str, FramesData]) -> str | None:
    for name, given in settings.temperatures.items():
        if name not in sets:
            return f'parameters: `temperatures.{name}` is not a name in `test_sets`.'
        if not isinstance(given, HeatingParameters):
            if len(given) != sets[name].frames:
                return (
                    f'parameters: `temperatures.{name}` has {len(given)} values for {sets[name].frames} frames: give '
                    'one for each frame.'
                )
        elif min(int(np.min(item.steps)) for item in sets[name].sets()) < 0:
            return (
                f'parameters: `temperatures.{name}` is a heating, but some frames have no step: give one temperature '
                'for each frame.'
            )
    return None


class ValidateWorkChain(PlannedWorkChain):
    """Compute the errors of every potential and calculator on every test set.

    Optionally, the chain relaxes crystals with each of them and maps the frames by their descriptors.
    """

    CODES = ('python',)
    PARAMETERS = ValidateParameters
    PROTOCOL = 'validate'

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        define_compared(spec)
        spec.input_namespace(
            'test_sets',
            valid_type=FramesData,
            dynamic=True,
            help='Labelled frames by name, which are not in the training data of any potential.',
        )
        spec.input(
            'training_data',
            valid_type=FramesData,
            required=False,
            help='Training frames of the potentials, shown in the map of descriptors with the test sets.',
        )
        spec.input_namespace(
            'structures',
            valid_type=orm.StructureData,
            dynamic=True,
            required=False,
            help='Crystals relaxed with the reference method, with which those of every potential are compared.',
        )
        spec.inputs.validator = validate_validation
        spec.outline(
            cls.prepare,
            run_queue(cls),
            cls.tabulate,
            cls.compare_structures,
            cls.draw_map,
            cls.judge,
        )
        spec.output(
            'report_card',
            valid_type=orm.Dict,
            help='`tests`, one for each potential and test set: overall errors, errors `per_formula`, `per_element` '
            'and `per_temperature`, and the account of every frame.',
        )
        spec.output(
            'parity',
            valid_type=orm.ArrayData,
            required=False,
            help='Points of a parity plot, reference and prediction, by test.',
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
            help='Map of the frames: `test_<set>` and `training_data` (n, 2); for `pca`, `explained_variance`.',
        )
        exit_code(spec, 'ERROR_NO_TEST_FINISHED', message='All tests failed. The first failure, `{key}`: {reason}')
        exit_code(
            spec,
            'ERROR_TESTS_FAILED',
            message='{count} of {total} tests failed. The first failure, `{key}`: {reason} The others are attached: '
            'correct the inputs, or omit that potential.',
        )
        exit_code(
            spec,
            'ERROR_NO_MAP',
            message='The calculation of the descriptors failed: {reason} The errors are attached. Set '
            '`descriptors.potential` to null to describe the frames without a potential.',
        )

    def prepare(self) -> None:
        """Plan the tests and queue them."""
        given = ('potentials', 'calculators', 'test_sets', 'structures')
        namespaces = {name: self.namespace(name) for name in given}
        self.ctx.plan = plan_validate(self.inputs.parameters, **namespaces, metadata={'call_link_label': 'plan'})
        runs = self.runs
        self.enqueue('make_test', [*runs.select(what='evaluate'), *runs.select(what='label')])
        if 'relax' in self.ctx.plan:
            metadata = {'call_link_label': 'crystals'}
            self.ctx.crystals = frames_from_structures(structures=namespaces['structures'], metadata=metadata)
            self.enqueue('make_relaxation', runs.select(what='relax'))
        if 'map' in self.ctx.plan:
            learnt = {LEARNT: self.inputs.training_data} if 'training_data' in self.inputs else {}
            sets, metadata = namespaces['test_sets'], {'call_link_label': 'sample_map'}
            self.ctx.shown = sample_map(self.ctx.plan['map'], test_sets=sets, learnt=learnt, metadata=metadata)
        self.enqueue('make_description', runs.select(what='describe'))

    def make_test(self, run: Run) -> Child:
        """Return the evaluation of a potential, or the labelling by a calculator."""
        frames = self.inputs.test_sets[run.data]
        if run.what == 'evaluate':
            return self.prediction(run, frames, self.ctx.plan['evaluate'][run.id])
        return self.labelling(run, frames, self.ctx.plan['label'])

    def make_relaxation(self, run: Run) -> Child:
        """Return the relaxation of all structures with one potential or calculator."""
        return self.labelling(run, self.ctx.crystals, self.ctx.plan['relax'])

    def make_description(self, run: Run) -> Child:
        """Return the evaluation of the frames of the map, with descriptors."""
        return self.prediction(run, self.ctx.shown, self.ctx.plan['describe'])

    def prediction(self, run: Run, frames: FramesData, parameters: orm.Dict) -> Child:
        """Return the evaluation of the potential of ``run`` on ``frames``."""
        name = str(run.potential)
        return self.evaluation(run.label, {name: self.inputs.potentials[name]}, frames, parameters)

    def labelling(self, run: Run, frames: FramesData, parameters: orm.Dict) -> Child:
        """Return the labelling of ``frames`` by a potential or calculator."""
        potentials = self.namespace('potentials')
        if run.potential in potentials:
            labeller = {'potential': potentials[run.potential]}
        else:
            labeller = {'calculator': self.inputs.calculators[run.potential]}
        shared = {**self.shared(LabelWorkChain, run.label), 'codes': {'python': self.inputs.codes.python}}
        return LabelWorkChain, {**labeller, 'frames': frames, 'parameters': parameters, **shared}

    def outputs_of(self, what: str, name: str) -> dict[str, orm.Data]:
        """Return the output ``name`` of all runs of the kind ``what`` that have it, by run id."""
        return {run.id: node.outputs[name] for run, node in self.ended(what).items() if name in node.outputs}

    def tabulate(self) -> None:
        """Tabulate the errors from predictions and labels."""
        self.ctx.found = tabulate_validation(
            self.ctx.plan['table'],
            self.ctx.plan['runs'],
            test_sets=self.namespace('test_sets'),
            predictions=self.outputs_of('evaluate', 'predictions'),
            labels=self.outputs_of('label', 'frames'),
            accounts=self.outputs_of('label', 'account'),
            metadata={'call_link_label': 'tabulate'},
        )
        self.out_many(self.ctx.found)

    def compare_structures(self) -> None:
        """Compare the relaxed crystals with the input structures; failed relaxations are listed with their reason."""
        if 'structures' not in self.ctx.plan:
            return
        found = tabulate_structures(
            self.ctx.plan['structures'],
            self.ctx.plan['runs'],
            self.ctx.crystals,
            frames=self.outputs_of('relax', 'frames'),
            accounts=self.outputs_of('relax', 'account'),
            metadata={'call_link_label': 'compare'},
        )
        self.out('structures', found)

    def draw_map(self) -> None:
        """Compute the two-dimensional map of the frames, unless their descriptors are missing."""
        if 'map' not in self.ctx.plan or self.failed('describe'):
            return
        nodes = list(self.succeeded('describe').values())
        described = {'descriptors': nodes[0].outputs.descriptors} if nodes else {}
        node = map_descriptors(self.ctx.plan['map'], self.ctx.shown, **described, metadata={'call_link_label': 'map'})
        self.out('descriptor_map', node)

    def judge(self) -> ExitCode | None:
        """Report which tests failed."""
        found, tests = self.ctx.found, self.ctx.found['report_card']['tests']
        lost = [self.runs[test['key']] for test in tests if not test['admitted']]
        if lost:
            node = self.ctx.done[lost[0].id]
            first = {'key': lost[0].label, 'reason': node.exit_message}
            if 'parity' not in found:
                return self.failure(node, self.exit_codes.ERROR_NO_TEST_FINISHED.format(**first))
            counts = {'count': len(lost), 'total': len(tests)}
            return self.failure(node, self.exit_codes.ERROR_TESTS_FAILED.format(**first, **counts))
        for node in self.failed('describe').values():
            return self.failure(node, self.exit_codes.ERROR_NO_MAP.format(reason=node.exit_message))
        return None
