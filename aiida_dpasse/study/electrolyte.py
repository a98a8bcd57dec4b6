"""`ElectrolyteWorkChain`: the complete study, from crystal structures to an ionic conductivity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida import orm
from aiida.engine import ExitCode, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.chain import DpasseWorkChain
from aiida_dpasse.base.outline import run_queue
from aiida_dpasse.base.reasons import reason_of
from aiida_dpasse.base.validators import (
    check_ion,
    check_processes,
    check_release_and_heads,
    define_labelled,
    validate_structure,
    validate_structures,
)
from aiida_dpasse.data.engine import Potential, engine_code, validate_potentials, version_of
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.deepmd.multitask import type_map_of
from aiida_dpasse.distill.distill import DistillWorkChain
from aiida_dpasse.distill.plan_distill import members_of
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.dynamics.plan_conductivity import check_committee
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.frames.draw_frames import draw_frames
from aiida_dpasse.frames.select_visited import select_visited
from aiida_dpasse.frames.union_frames import union_frames
from aiida_dpasse.label.initial_data import InitialDataWorkChain
from aiida_dpasse.label.label import labelling
from aiida_dpasse.label.passport import define_passport, passport_of, validate_passport
from aiida_dpasse.label.sources import BY_CODE, define_labeller, labeller_of, sources_of, validate_labeller
from aiida_dpasse.runs import Run
from aiida_dpasse.study.electrolyte_parameters import ElectrolyteParameters
from aiida_dpasse.study.judge_production import judge_production
from aiida_dpasse.study.plan_electrolyte import plan_electrolyte
from aiida_dpasse.study.summarize_electrolyte import SUMMARIZED, summarize_electrolyte
from aiida_dpasse.study.tabulate_repairs import REPAIRED, repair_label, tabulate_repairs
from aiida_dpasse.train.finetune import FinetuneWorkChain
from aiida_dpasse.train.pretrain import PretrainWorkChain

#: Inputs of each phase that may be given by the user, and the ports of the study that they are taken from.
FROM_INPUTS: dict[str, dict[str, str]] = {
    'initial_data': {'structures': 'structures'},
    'active_learning': {'structures': 'structures', 'frames': 'frames', 'validation_data': 'validation_data'},
    'pretrain': {
        'frames': 'active_learning_frames',
        'validation_data': 'validation_data',
        'test_data': 'test_data',
    },
    'finetune_labels': {'structures': 'finetune_structures'},
    'finetune': {'frames': 'finetune_frames', 'pretrained': 'pretrained.checkpoint'},
    'distill': {'structures': 'electrolyte', 'teacher': 'pretrained.frozen', 'test_data': 'test_data'},
    'conductivity': {'structures': 'electrolyte', 'potential': 'student', 'committee': 'committee'},
    'reference': {'potential': 'student', 'committee': 'committee'},
}
#: Inputs of each phase that are computed otherwise, and the phase and output that they are taken from.
FROM_PHASES: dict[str, dict[str, tuple[str, str]]] = {
    'active_learning': {'frames': ('initial_data', 'frames')},
    'pretrain': {'frames': ('active_learning', 'frames')},
    'finetune': {'frames': ('finetune_labels', 'frames'), 'pretrained': ('pretrain', 'checkpoint')},
    'distill': {'teacher': ('pretrain', 'frozen')},
    'conductivity': {'potential': ('distill', 'student'), 'committee': ('distill', 'committee')},
    'reference': {'potential': ('distill', 'student'), 'committee': ('distill', 'committee')},
}
#: Inputs of a phase that it does not require.
OPTIONAL = ('committee',)
#: Phases that a repair repeats. Their outputs are attached at the end, since a process attaches an output once.
REPEATED = ('distill', 'conductivity')
#: Namespace of the outputs of the teacher after the last repair.
REPAIRED_TEACHER = 'repaired_teacher'
#: Phases that label frames with the reference method.
LABELLING = ('initial_data', 'active_learning', 'finetune_labels')
#: Label of the reference structure among those that the student is trained for.
REFERENCE = 'reference'


# -- required phases --------------------------------------------------------------------------------------------------


def is_given(inputs: Any, port: str) -> bool:
    """Whether an input is given and is not an empty namespace.

    :param inputs: inputs of the study.
    :param port: name of the port, with dots for namespaces.

    >>> is_given({'pretrained': {'frozen': 1}}, 'pretrained.frozen'), is_given({'structures': {}}, 'structures')
    (True, False)
    """
    value = value_at(inputs, port)
    return value is not None and not (isinstance(value, Mapping) and not value)


def value_at(inputs: Any, port: str) -> Any:
    """Return a given input, or None.

    :param inputs: inputs of the study.
    :param port: name of the port, with dots for namespaces.
    """
    for name in port.split('.'):
        if inputs is None or name not in inputs:
            return None
        inputs = inputs[name]
    return inputs


def frames_in(node: orm.ProcessNode, *outputs: str) -> dict[str, FramesData]:
    """Return those of the ``outputs`` of a process that it has, by name."""
    return {name: node.outputs[name] for name in outputs if name in node.outputs}


def stopped_in(conductivity: orm.ProcessNode) -> bool:
    """Whether a run of a conductivity chain exceeded a limit."""
    outputs = conductivity.outputs
    return 'transport' in outputs and any(row['stopped'] for row in outputs.transport['temperatures'])


def distills_from_finetuned(inputs: Any) -> bool:
    """Whether the fine-tuned potential is the teacher of the distillation.

    :param inputs: inputs of the study.
    """
    return bool(inputs['parameters'].get_dict().get('distill_from') == 'finetuned')


def phases_of(inputs: Any) -> tuple[str, ...]:
    """Return the phases that have to run, in order: those whose result is needed and not given as an input.

    :param inputs: inputs of the study.
    """
    distill = not is_given(inputs, 'student')
    from_finetuned = distills_from_finetuned(inputs)
    shown = is_given(inputs, 'finetune_structures') or is_given(inputs, 'finetune_frames')
    finetune = not is_given(inputs, 'finetuned') and (shown or (distill and from_finetuned))
    wanted = [*(['checkpoint'] if finetune else []), *(['frozen'] if distill and not from_finetuned else [])]
    pretrain = bool(wanted) and not is_given(inputs, 'pretrained')
    learn = pretrain and not is_given(inputs, 'active_learning_frames')
    needed = {
        'initial_data': learn and not is_given(inputs, 'frames'),
        'active_learning': learn,
        'pretrain': pretrain,
        'finetune_labels': finetune and not is_given(inputs, 'finetune_frames'),
        'finetune': finetune,
        'distill': distill,
        'conductivity': True,
        'reference': is_given(inputs, 'reference'),
    }
    return tuple(phase for phase, needs in needed.items() if needs)


def sources_for(phase: str, inputs: Any) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Return the sources of the inputs of a phase.

    :param phase: name of the phase.
    :param inputs: inputs of the study.
    :return: the ports by input name, and otherwise the phase and output that provide the input.
    """
    ports, made = FROM_INPUTS[phase], FROM_PHASES.get(phase, {})
    if phase == 'distill' and distills_from_finetuned(inputs):
        return {**ports, 'teacher': 'finetuned'}, {'teacher': ('finetune', 'frozen')}
    return ports, made


def known_inputs(phase: str, inputs: Any) -> dict[str, Any]:
    """Return the inputs of a phase that are given by the user, without those common to all chains.

    :param phase: name of the phase.
    :param inputs: inputs of the study.
    """
    ports, _ = sources_for(phase, inputs)
    known = {name: value_at(inputs, port) for name, port in ports.items() if is_given(inputs, port)}
    if phase in LABELLING:
        known |= labeller_of(inputs)
    if phase == 'active_learning':
        known |= passport_of(inputs)
    if phase == 'reference':
        known['structures'] = {REFERENCE: inputs['reference']}
    if phase == 'distill' and is_given(inputs, 'reference'):
        known['structures'] = {**known['structures'], REFERENCE: inputs['reference']}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in known.items()}


# -- validation of their inputs ---------------------------------------------------------------------------------------


def validate_given_structures(structures: Mapping[str, orm.StructureData] | None, port: Any) -> str | None:
    """Return an error message if one of the optional ``structures`` cannot be run."""
    return validate_structures(structures, port) if structures else None


def validate_electrolyte(inputs: Any, _: Any = None) -> str | None:
    """Return an error message if an input of the required phases is missing or cannot be used by them.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    if inputs.get('parameters') is None or not is_given(inputs, 'electrolyte'):
        return None  # reported by their own ports
    if message := validate_passport(inputs):
        return message
    phases = phases_of(inputs)
    for check in (_missing_sources, _unusable_potentials, _missing_elements, _unfit_sections):
        if message := check(inputs, phases):
            return message
    return None


def _missing_sources(inputs: Any, phases: tuple[str, ...]) -> str | None:
    instead = {
        'initial_data': 'frames',
        'active_learning': 'active_learning_frames',
        'finetune_labels': 'finetune_frames',
    }
    for phase, port in instead.items():
        source = FROM_INPUTS[phase]['structures']
        if phase in phases and not is_given(inputs, source):
            return f'{source}: `{phase}` requires at least one; give it, or `{port}` instead.'
    labelling = next((phase for phase in phases if phase in LABELLING), None)
    if (labelling or sources_of(inputs)) and (message := validate_labeller(inputs)):
        return f'{message} `{labelling}` labels its frames.' if labelling else message
    if is_given(inputs, 'pretrained'):
        teacher = 'distill' in phases and not distills_from_finetuned(inputs)
        for form, needed in (('checkpoint', 'finetune' in phases), ('frozen', teacher)):
            if needed and not is_given(inputs, f'pretrained.{form}'):
                purpose = 'fine-tuning' if form == 'checkpoint' else 'distillation'
                return f'pretrained.{form}: it is required for the {purpose}.'
    if is_given(inputs, 'committee') and not is_given(inputs, 'student'):
        return 'committee: its potentials run beside `student`: give `student`, or omit the committee.'
    if is_given(inputs, 'reference') and REFERENCE in inputs['electrolyte']:
        return f'electrolyte.{REFERENCE}: this label is reserved for the input `reference`: choose another.'
    return None


def _unusable_potentials(inputs: Any, phases: tuple[str, ...]) -> str | None:
    """Return an error message if a model is no potential, or if a checkpoint for LAMMPS cannot be frozen as it is."""
    for port in ('pretrained.checkpoint', 'pretrained.frozen', 'finetuned', 'student'):
        if is_given(inputs, port) and (message := value_at(inputs, port).check_kind()):
            return f'{port}: {message}'
    used = [port for phase in phases for name, port in sources_for(phase, inputs)[0].items() if name != 'pretrained']
    for port in dict.fromkeys(port for port in used if port in ('pretrained.frozen', 'finetuned', 'student')):
        if message := check_release_and_heads(value_at(inputs, port), version_of(engine_code(inputs))):
            return f'{port}: {message}'
    return None


def _missing_elements(inputs: Any, phases: tuple[str, ...]) -> str | None:
    """Return an error message if a potential does not, or would not, support an element of a structure."""
    structures = {
        (port, label): structure.get_symbols_set()
        for port in ('electrolyte', 'finetune_structures')
        for label, structure in (value_at(inputs, port) or {}).items()
    }
    if is_given(inputs, 'reference'):
        structures['reference', None] = inputs['reference'].get_symbols_set()
    for name, known in _known_elements(inputs, phases).items():
        for (port, label), symbols in structures.items():
            relevant = port != 'finetune_structures' or name not in ('finetuned', 'student')
            if relevant and (missing := sorted(symbols - known)):
                place = port if label is None else f'{port}.{label}'
                return (
                    f'{place}: `{name}` does not contain {", ".join(missing)}: add a compound with this element there, '
                    'or omit the structure.'
                )
    return None


def _known_elements(inputs: Any, phases: tuple[str, ...]) -> dict[str, set[str]]:
    """Return the elements that the potentials will support, by the port that determines them."""
    known: dict[str, set[str]] = {}
    if 'pretrain' in phases:
        source = next((port for port in ('active_learning_frames', 'frames') if is_given(inputs, port)), 'structures')
        if source == 'structures':
            known[source] = set().union(*(item.get_symbols_set() for item in inputs['structures'].values()))
        else:
            known[source] = set(inputs[source].elements)
    for port in ('pretrained.checkpoint', 'pretrained.frozen', 'finetuned', 'student'):
        if is_given(inputs, port):
            known[port] = set(value_at(inputs, port).type_map)
    return known


def _unfit_sections(inputs: Any, phases: tuple[str, ...]) -> str | None:
    """Return an error message if the parameters of a phase are not compatible with its known inputs."""
    settings = ElectrolyteParameters.model_validate(inputs['parameters'].get_dict())
    codes = inputs.get('codes') or {}
    members = [run.label for run in members_of(settings.distill)] if 'distill' in phases else []
    for phase in phases:
        section, known = getattr(settings, phase), known_inputs(phase, inputs)
        if phase in ('conductivity', 'reference') and (
            message := check_committee(members, len(known['structures']), section.replicas)
        ):
            return f'{phase}: {message} The students are those of `distill.students`.'
        if message := check_processes(section.model_dump(), codes, f'parameters.{phase}'):
            return message
        if message := _unknown_types(phase, section, inputs) or _missing_ion(phase, section, known):
            return message
        made = [name for name in FROM_PHASES.get(phase, {}) if name not in OPTIONAL]
        if phase != 'distill' and any(name not in known for name in made):
            continue  # inputs that are computed first are checked by the chain itself
        process = ElectrolyteWorkChain.PHASES[phase]
        taken = {name: codes[name] for name in process.known_codes(codes) if name in codes}
        validator = process.spec().inputs.validator
        checked = {**known, 'codes': taken, 'parameters': orm.Dict(section.model_dump())}
        if validator is not None and (message := validator(checked, process.spec().inputs)):
            return f'{phase}: {message}'
    return None


def _unknown_types(phase: str, section: Any, inputs: Any) -> str | None:
    """Return an error message if a given type map lacks an element of its structures."""
    training = section.committee.train if phase == 'active_learning' else getattr(section, 'train', None)
    types = type_map_of(training.input['model']) if training is not None else []
    port = {'active_learning': 'structures', 'pretrain': 'structures', 'finetune': 'finetune_structures'}
    structures = value_at(inputs, port.get(phase, 'electrolyte')) or {}
    elements = set().union(*(structure.get_symbols_set() for structure in structures.values()))
    if types and (missing := sorted(elements - set(types))):
        return (
            f'parameters.{phase}: the type map {" ".join(types)} lacks {", ".join(missing)} of `'
            f'{port.get(phase, "electrolyte")}`: add it to `input.model.type_map`, or omit the type map.'
        )
    return None


def _missing_ion(phase: str, section: Any, known: Mapping[str, Any]) -> str | None:
    """Return an error message if a structure whose transport is requested lacks the ion."""
    conductivity = section.conductivity if phase == 'active_learning' else section
    if phase not in ('active_learning', 'conductivity', 'reference') or conductivity is None:
        return None
    message = check_ion(known['structures'], conductivity.transport.ion)
    return message and f'parameters.{phase}: {message}'


def simulate_and_check(chain: type[ElectrolyteWorkChain]) -> tuple[Any, ...]:
    """Return the steps that simulate the electrolyte and test the students on frames of it.

    :param chain: class of the study.
    """
    return (
        chain.simulate_electrolyte,
        chain.collect,
        chain.label_production,
        chain.evaluate_students,
        chain.judge_students,
    )


class ElectrolyteWorkChain(DpasseWorkChain):
    """Compute the ionic conductivity of an electrolyte from crystal structures.

    The phases are the labelling of initial data, active learning, pre-training, fine-tuning, distillation, and
    molecular dynamics of the electrolyte. A phase is skipped if its result is given as an input: `frames` replaces the
    initial data, `active_learning_frames` the active learning, `pretrained` the pre-training, `finetune_frames` the
    labelling of the new compound, `finetuned` the fine-tuning and `student` the distillation. Phases whose results are
    not needed are skipped as well: with `student` only the molecular dynamics of the electrolyte is run, and a
    fine-tuning that no other phase needs is run only if `finetune_structures` or `finetune_frames` is given.

    Frames of the electrolyte's dynamics are labelled, and the forces of the students compared with them (`check`).

    If a run of the electrolyte exceeds a limit, the students fail this check, or the student is refused, the study
    repairs itself: the frames visited there are labelled, the teacher is trained further on them, new students are
    distilled, and the electrolyte is simulated again, for at most `repair.max_rounds` rounds. All temperatures are
    repeated, since an Arrhenius line through points of different potentials would have no defined error. A teacher that
    is given as an input, whose training frames are unknown, is not repaired.
    """

    CODES = (PROGRAM, 'lmp', 'python')
    OPTIONAL_CODES = ('torchrun', *BY_CODE)
    PARAMETERS = ElectrolyteParameters
    PROTOCOL = 'electrolyte'
    RUNS_IN_LAMMPS = ('student', 'committee')
    PHASES: ClassVar[Mapping[str, type[DpasseWorkChain]]] = {
        'initial_data': InitialDataWorkChain,
        'active_learning': ActiveLearningWorkChain,
        'pretrain': PretrainWorkChain,
        'finetune_labels': InitialDataWorkChain,
        'finetune': FinetuneWorkChain,
        'distill': DistillWorkChain,
        'conductivity': ConductivityWorkChain,
        'reference': ConductivityWorkChain,
    }
    CHILDREN = PHASES

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Define inputs, outline, outputs and exit codes."""
        super().define(spec)
        for name, use in {
            'structures': 'Crystals for the initial data, active learning and pre-training.',
            'finetune_structures': 'Crystals of the new compound for the fine-tuning.',
            'electrolyte': 'The electrolyte: one or more configurations of its disorder.',
        }.items():
            spec.input_namespace(
                name,
                valid_type=orm.StructureData,
                required=name == 'electrolyte',
                validator=validate_structures if name == 'electrolyte' else validate_given_structures,
                help=use,
            )
        spec.input(
            'reference',
            valid_type=orm.StructureData,
            required=False,
            validator=validate_structure,
            help='Reference structure, compared with the electrolyte at one temperature.',
        )
        define_labeller(spec)
        define_passport(spec)
        for name, use in {
            'frames': 'Labelled frames of `structures`, instead of the initial data.',
            'validation_data': 'Labelled frames for validation in active learning and pre-training.',
            'test_data': 'Labelled frames for the test of the pre-trained potential and the student, which should not '
            'be in the training data of `pretrained`.',
            'active_learning_frames': 'Labelled frames for the pre-training, instead of active learning.',
            'finetune_frames': 'Labelled frames of the new compound, instead of `finetune_structures`.',
        }.items():
            define_labelled(spec, name, use, required=False)
        for name, use in {
            'pretrained.checkpoint': 'Checkpoint of the pre-trained potential, for the fine-tuning.',
            'pretrained.frozen': 'Frozen pre-trained potential, for the distillation; a checkpoint is frozen first.',
            'finetuned': 'Fine-tuned potential, instead of the fine-tuning.',
            'student': 'Potential of the molecular dynamics, instead of the distillation; a checkpoint is frozen.',
        }.items():
            spec.input(name, valid_type=Potential, validator=validate_potentials, required=False, help=use)
        spec.input_namespace(
            'committee',
            valid_type=Potential,
            validator=validate_potentials,
            required=False,
            help='Further potentials beside `student`, trained on the same frames, whose spread shows the error.',
        )
        spec.inputs.validator = validate_electrolyte
        spec.outline(
            cls.setup,
            run_queue(cls),
            cls.check_frozen,
            cls.make_initial_data,
            cls.learn_actively,
            cls.pretrain,
            cls.label_new_compound,
            cls.finetune_or_distill,
            cls.distill_or_finetune,
            *simulate_and_check(cls),
            while_(cls.has_to_repair)(
                cls.label_visited,
                cls.teach,
                cls.distill_again,
                *simulate_and_check(cls),
            ),
            *simulate_and_check(cls),
            cls.simulate_reference,
            cls.summarize,
        )
        for phase, process in cls.PHASES.items():
            spec.expose_outputs(process, namespace=phase, namespace_options={'required': False})
        spec.expose_outputs(FinetuneWorkChain, namespace=REPAIRED_TEACHER, namespace_options={'required': False})
        spec.output(
            'check',
            valid_type=orm.Dict,
            required=False,
            help='Errors of the students on labelled frames of the last production, and whether they are accepted.',
        )
        spec.output(
            'repair',
            valid_type=orm.Dict,
            required=False,
            help='`rounds`: for each, the runs that had exceeded a limit or the failed check, the labels, and the '
            'errors of the teacher before and after; `repaired`: whether nothing fails in the end, and the `reason` if '
            'not.',
        )
        spec.output('summary', valid_type=orm.Dict, required=False, help='Main results of the study.')
        exit_code(
            spec,
            'ERROR_PHASE_FAILED',
            message='The phase `{phase}` failed: {reason} To continue, give the attached results of earlier phases.',
        )
        exit_code(spec, 'ERROR_UNDETERMINED', message='All phases ended. {reason}')

    def setup(self) -> None:
        """Determine which phases are needed and derive the parameters of each."""
        self.ctx.plan = plan_electrolyte(self.inputs.parameters, metadata={'call_link_label': 'plan'})
        self.ctx.waiting = list(phases_of(self.inputs))
        self.ctx.running = []
        self.ctx.refused = None
        self.ctx.remarks = {}
        # The check of the last production, and the process that is checked.
        self.ctx.check, self.ctx.checked = None, None
        # Number of the repair, whether no further one follows, and the nodes of all repairs by kind and id.
        self.ctx.round, self.ctx.given_up = 0, False
        self.ctx.repairs = {kind: {} for kind in REPAIRED}
        self.freeze_checkpoints()
        self.report(f'phases: {", ".join(self.ctx.waiting)}')

    # -- the phases -------------------------------------------------------------------------------------------------

    def make_initial_data(self) -> ExitCode | None:
        """Label the initial frames."""
        return self.start_phases('initial_data')

    def learn_actively(self) -> ExitCode | None:
        """Extend the frames by active learning; the new compound is labelled beside it if two programs may run."""
        return self.start_phases('active_learning', 'finetune_labels')

    def pretrain(self) -> ExitCode | None:
        """Pre-train a potential, and label the new compound if this has not been done yet."""
        return self.start_phases('pretrain', 'finetune_labels')

    def label_new_compound(self) -> ExitCode | None:
        """Label the new compound if only one program may run."""
        return self.start_phases('finetune_labels')

    def finetune_or_distill(self) -> ExitCode | None:
        """Run distillation and fine-tuning concurrently, unless the distillation depends on the fine-tuning."""
        if self.from_finetuned:
            return self.start_phases('finetune')
        return self.start_phases('distill', 'finetune')

    def distill_or_finetune(self) -> ExitCode | None:
        """Run the remaining one of the two."""
        return self.start_phases('distill', 'finetune')

    def simulate_electrolyte(self) -> ExitCode | None:
        """Run molecular dynamics of the electrolyte at several temperatures, unless its student has to be repaired."""
        code = self.collect()
        if code or self.has_to_repair():
            return code
        if 'distill' in self.ctx and not self.has_output('distill', 'student'):
            self.attach_repeated()
            return self.exit_codes.ERROR_PHASE_FAILED.format(phase='distill', reason=self.ctx.remarks['distill'])
        return self.start_phases('conductivity')

    # -- check of the production by labels --------------------------------------------------------------------------

    def label_production(self) -> None:
        """Label some frames of the production, unless it is repaired anyway."""
        self.ctx.pop('production_labels', None)
        self.ctx.pop('production_errors', None)
        node = self.ctx.get('conductivity')
        if (
            self.settings.check is None
            or not sources_of(self.inputs)
            or node is None
            or 'conductivity' in self.ctx.waiting
            or self.ctx.checked == node.uuid
            or self.has_to_repair()
        ):
            return
        self.ctx.checked = node.uuid
        if 'samples' not in node.outputs:
            self.report('the production is not checked by labels: frames are sampled only with a committee')
            return
        frames, drawn = node.outputs.samples, self.ctx.plan['check'][self.repair_run('check').id]
        label = self.repair_link('check') if self.ctx.round else 'check'
        if frames.frames > drawn['number']:
            frames = draw_frames(frames, drawn, metadata={'call_link_label': f'draw_{label}'})
        self.run_child('production_labels', *labelling(self, label, frames, self.ctx.plan['check_label']))

    def evaluate_students(self) -> None:
        """Compute the errors of the students on these frames."""
        labels = self.ctx.get('production_labels')
        if labels is None or 'frames' not in labels.outputs:
            return
        given = self.phase_inputs('conductivity')
        students = {'student': given['potential'], **given['committee']}
        label = self.repair_link('errors') if self.ctx.round else 'errors'
        evaluation = self.evaluation(label, students, labels.outputs.frames, self.ctx.plan['check_evaluate'])
        self.run_child('production_errors', *evaluation)

    def judge_students(self) -> None:
        """Decide whether the students know the forces in the frames that they simulated."""
        labels, errors = self.ctx.get('production_labels'), self.ctx.get('production_errors')
        if labels is None:
            return
        if 'account' not in labels.outputs:
            self.report(f'the production is not checked by labels: {reason_of(labels)}')
            return
        found = frames_in(labels, 'frames')
        if errors is not None and errors.is_finished_ok:
            found['errors'] = errors.outputs.results
        label = self.repair_link('judge') if self.ctx.round else 'judge'
        self.ctx.check = judge_production(
            self.ctx.plan['check_limits'], labels.outputs.account, **found, metadata={'call_link_label': label}
        )
        self.ctx.repairs['checks'][self.repair_run('check').id] = self.ctx.check
        if reason := self.ctx.check['reason']:
            self.report(reason)

    def checked_frames(self) -> dict[str, FramesData]:
        """Return the frames that were labelled for the check, by name."""
        labels = self.ctx.get('production_labels')
        return {} if labels is None or 'frames' not in labels.outputs else {'checked': labels.outputs.frames}

    def fails_check(self) -> bool:
        """Whether the last production failed its check."""
        return self.ctx.check is not None and self.ctx.check['accepted'] is False

    # -- repair -----------------------------------------------------------------------------------------------------

    def has_to_repair(self) -> bool:
        """Whether a run exceeded a limit, the check failed, or the student was refused, and another round can repair
        it.
        """
        return self.can_repair() and bool(self.visited())

    def can_repair(self) -> bool:
        """Whether another round is allowed and possible."""
        repair = self.settings.repair
        allowed = repair is not None and self.ctx.round < repair.max_rounds and not self.ctx.given_up
        return allowed and bool(sources_of(self.inputs)) and self.teacher() is not None

    def teacher(self) -> Mapping[str, Any] | None:
        """Return the outputs of the training of the present teacher, None if this study did not train it."""
        for phase in (REPAIRED_TEACHER, 'finetune' if self.from_finetuned else 'pretrain'):
            if phase in self.ctx and 'checkpoint' in self.ctx[phase].outputs:
                return self.ctx[phase].outputs
        return None

    def visited(self) -> dict[str, FramesData]:
        """Return the frames visited where the present student failed, by the output that holds them."""
        if 'distill' in self.ctx.remarks and (found := frames_in(self.ctx.distill, 'visited')):
            return found
        simulated = 'conductivity' in self.ctx and 'conductivity' not in self.ctx.waiting
        if simulated and stopped_in(self.ctx.conductivity):
            return frames_in(self.ctx.conductivity, 'candidates', 'visited')
        if simulated and self.fails_check():
            return frames_in(self.ctx.conductivity, 'candidates', 'samples')
        return {}

    def label_visited(self) -> None:
        """Choose the most different of the visited frames, and label them."""
        teacher, visited = self.teacher(), self.visited()
        assert teacher is not None
        self.note_production()
        self.ctx.round += 1
        self.ctx.check = None
        chosen = select_visited(
            self.repair_parameters('select'),
            visited=visited,
            known={name: teacher[name] for name in ('training_data', 'test_data')} | self.checked_frames(),
            metadata={'call_link_label': self.repair_link('select')},
        )
        self.ctx.repairs['statistics'][self.repair_run('select').id] = chosen['statistics']
        if 'frames' not in chosen:
            self.give_up('the visited frames contain none that is new and physical')
            return
        self.report(f'repair {self.ctx.round}: {chosen["frames"].frames} visited frames are labelled')
        parameters = self.repair_parameters('label')
        self.run_child('label', *labelling(self, self.repair_link('label'), chosen['frames'], parameters))

    def teach(self) -> None:
        """Train the teacher further, on its own frames and the new ones."""
        if self.ctx.given_up:
            return
        teacher, labels = self.teacher(), self.ctx.label
        assert teacher is not None
        if 'account' in labels.outputs:
            self.ctx.repairs['accounts'][self.repair_run('label').id] = labels.outputs.account
        if 'frames' not in labels.outputs:
            self.give_up(reason_of(labels))
            return
        frames = union_frames(
            frames={'known': teacher['training_data'], 'visited': labels.outputs.frames, **self.checked_frames()},
            metadata={'call_link_label': self.repair_link('union')},
        )
        inputs = {
            'frames': frames,
            'test_data': teacher['test_data'],
            'pretrained': teacher['checkpoint'],
            'parameters': self.repair_parameters('teach'),
            **self.shared(FinetuneWorkChain, self.repair_link('teach')),
        }
        self.run_child('taught', FinetuneWorkChain, inputs)

    def distill_again(self) -> ExitCode | None:
        """Distill new students from the repaired teacher."""
        if self.ctx.given_up:
            return None
        if not self.ctx.taught.is_finished_ok:
            self.give_up(reason_of(self.ctx.taught))
            return None
        self.ctx[REPAIRED_TEACHER] = self.ctx.taught
        self.ctx.repairs['errors'][self.repair_run('teach').id] = self.ctx.taught.outputs.errors
        others = [phase for phase in self.ctx.waiting if phase not in REPEATED]
        self.ctx.waiting = [*REPEATED, *others]
        return self.start_phases('distill')

    def give_up(self, reason: str) -> None:
        """End the repairs because a step failed; the study continues with what it has."""
        self.ctx.given_up = True
        self.report(f'repair {self.ctx.round} ended: {reason}')

    def note_production(self) -> None:
        """Keep the results of the present students for the table of the repairs."""
        if self.has_output('distill', 'verdict'):
            self.ctx.repairs['verdicts'][self.repair_run('distill').id] = self.ctx.distill.outputs.verdict
        if 'conductivity' not in self.ctx.waiting and self.has_output('conductivity', 'transport'):
            transport = self.ctx.conductivity.outputs.transport
            self.ctx.repairs['transport'][self.repair_run('conductivity').id] = transport

    def repair_run(self, what: str) -> Run:
        """Return the record of a step in the present repair."""
        return Run(what, iteration=self.ctx.round)

    def repair_link(self, what: str) -> str:
        """Return the link label of a step in the present repair."""
        return repair_label(self.repair_run(what))

    def repair_parameters(self, what: str) -> orm.Dict:
        """Return the parameters of a step in the present repair."""
        return self.ctx.plan['repairs'][self.repair_run(what).id]

    def simulate_reference(self) -> ExitCode | None:
        """Run molecular dynamics of the reference structure."""
        return self.start_phases('reference')

    # -- their inputs -----------------------------------------------------------------------------------------------

    @property
    def from_finetuned(self) -> bool:
        """Whether the fine-tuned potential is the teacher of the distillation."""
        return distills_from_finetuned(self.inputs)

    def phase_inputs(self, phase: str) -> dict[str, Any]:
        """Return the inputs of ``phase``: those given by the user and the outputs of earlier phases."""
        inputs = known_inputs(phase, self.inputs)
        _, made = sources_for(phase, self.inputs)
        for name, (source, output) in made.items():
            if name not in inputs and (name not in OPTIONAL or self.has_output(source, output)):
                inputs[name] = self.ctx[source].outputs[output]
        if 'potential' in made:
            inputs['potential'] = self.runnable(inputs['potential'])
            committee = inputs.get('committee', {})
            inputs['committee'] = {label: self.runnable(node) for label, node in committee.items()}
        if phase == 'distill' and (teacher := self.teacher()) is not None:
            # The training data of the teacher shows the student where potentials fail; its test data tests both.
            inputs |= {'teacher': teacher['frozen'], 'frames': teacher['training_data']}
            inputs.setdefault('test_data', teacher['test_data'])
        return inputs

    def has_output(self, phase: str, output: str) -> bool:
        """Whether a phase ran and has an output."""
        return phase in self.ctx and output in self.ctx[phase].outputs

    # -- execution --------------------------------------------------------------------------------------------------

    def start_phases(self, *phases: str) -> ExitCode | None:
        """Collect the finished phases, then submit those of ``phases`` that wait, which share the programs."""
        if code := self.collect():
            return code
        together = [phase for phase in phases if phase in self.ctx.waiting][: self.programs]
        self.ctx.slots, self.ctx.chains = {}, {}
        for number, phase in enumerate(together, 1):
            process = self.PHASES[phase]
            again = self.ctx.round and phase in REPEATED
            label = self.repair_link(phase) if again else phase
            inputs = {**self.phase_inputs(phase), **self.shared(process, label)}
            inputs['parameters'] = self.repair_parameters(phase) if again else self.ctx.plan[phase]
            try:
                self.submit_with_share(phase, process, inputs, waiting=len(together) - number)
            except ValueError as exception:
                # The outputs of earlier phases are not compatible with its parameters, which could not be checked
                # before.
                self.ctx.refused = {'phase': phase, 'reason': str(exception)}
                together = together[: together.index(phase)]
                break
        self.ctx.waiting = [phase for phase in self.ctx.waiting if phase not in together]
        self.ctx.running = together
        return None

    def collect(self) -> ExitCode | None:
        """Attach the outputs of the last phases.

        A phase that did not converge, or can be repaired, is recorded as a remark; a failed one ends the study.
        """
        failed = None
        for phase in self.ctx.running:
            node = self.ctx[phase]
            if phase not in REPEATED:
                self.attach(phase)
            self.ctx.remarks.pop(phase, None)
            if node.is_finished_ok:
                continue
            if (node.exit_status or 0) >= 600 or (frames_in(node, 'visited') and self.can_repair()):
                self.ctx.remarks[phase] = node.exit_message
                self.report(f'{phase} did not converge; the study continues with its results: {node.exit_message}')
                continue
            reason = node.exit_message or node.process_state.value
            failed = failed or self.exit_codes.ERROR_PHASE_FAILED.format(phase=phase, reason=reason)
            self.failure(node, failed)
        self.ctx.running = []
        if failed is None and self.ctx.refused is not None:
            failed = self.exit_codes.ERROR_PHASE_FAILED.format(**self.ctx.refused)
        if failed is not None:
            self.attach_repeated()
        return failed

    def attach(self, phase: str) -> None:
        """Attach the outputs of a phase in its namespace."""
        process = FinetuneWorkChain if phase == REPAIRED_TEACHER else self.PHASES[phase]
        self.out_many(self.exposed_outputs(self.ctx[phase], process, namespace=phase))

    def attach_repeated(self) -> None:
        """Attach the last outputs of the phases that a repair repeats, and the table of the repairs."""
        for phase in (REPAIRED_TEACHER, *REPEATED):
            if phase in self.ctx:
                self.attach(phase)
        if self.ctx.round:
            self.note_production()
            self.ctx.repair = tabulate_repairs(
                self.ctx.plan['repair_runs'], **self.ctx.repairs, metadata={'call_link_label': 'tabulate_repairs'}
            )
            self.out('repair', self.ctx.repair)

    def summarize(self) -> ExitCode | None:
        """Attach the last outputs and the summary, and report an undetermined conductivity."""
        if code := self.collect():
            return code
        self.attach_repeated()
        if self.ctx.check is not None:
            self.out('check', self.ctx.check)
        parts = {
            phase: {name: self.ctx[phase].outputs[name] for name in names if name in self.ctx[phase].outputs}
            for phase, names in SUMMARIZED.items()
            if phase in self.ctx
        }
        if self.ctx.round:
            parts['repair'] = {'repair': self.ctx.repair}
        if self.ctx.check is not None:
            parts['check'] = {'check': self.ctx.check}
        parts |= {name: {name: node} for name, node in passport_of(self.inputs).items()}
        summary = summarize_electrolyte(
            parameters=self.inputs.parameters, **parts, metadata={'call_link_label': 'summarize'}
        )
        self.out('summary', summary)
        imprecise = ConductivityWorkChain.exit_codes.ERROR_IMPRECISE.status
        if 'conductivity' in self.ctx.remarks and self.ctx.conductivity.exit_status != imprecise:
            return self.exit_codes.ERROR_UNDETERMINED.format(reason=self.ctx.remarks['conductivity'])
        if self.fails_check():
            return self.exit_codes.ERROR_UNDETERMINED.format(reason=self.ctx.check['reason'])
        return None
