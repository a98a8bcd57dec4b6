"""Work of a chain before it is submitted: jobs, force evaluations, training steps and disk, derived from its inputs.

Loops that end when they converge are counted up to their limit and marked as upper bounds. Restarts, retries and
repairs are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import singledispatch
from math import ceil
from typing import Any

import numpy as np

from aiida_dpasse.distill.acceptance_parameters import AcceptanceParameters
from aiida_dpasse.distill.distill_parameters import DistillParameters
from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.dynamics.convergence_parameters import ConvergenceParameters
from aiida_dpasse.explore.active_learning_parameters import ActiveLearningParameters
from aiida_dpasse.explore.committee_parameters import CommitteeParameters
from aiida_dpasse.explore.explore_parameters import ExploreParameters
from aiida_dpasse.label.initial_data_parameters import InitialDataParameters
from aiida_dpasse.label.label_parameters import LabelParameters
from aiida_dpasse.label.sources import TEACHER, sources_of
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.parameters.train import TrainParameters
from aiida_dpasse.structures.supercell import Size, supercell_matrix
from aiida_dpasse.study.electrolyte import known_inputs, phases_of
from aiida_dpasse.study.electrolyte_parameters import ElectrolyteParameters
from aiida_dpasse.train.held_out_parameters import HeldOutParameters

#: Bytes of an atom in a frame of a trajectory: identifier, type and three unwrapped coordinates as text.
DUMP_BYTES = 42


#: A descriptor as in the input of a training, or the name of a calculator or program.
Kind = Mapping[str, Any] | str


@dataclass(frozen=True)
class Work:
    """Jobs of one kind in one phase."""

    phase: str
    #: Name of the code.
    program: str
    #: What determines the speed of the program: the descriptor of the potential, or the name of the calculator.
    kind: Kind
    jobs: int
    #: Amount of work, and its unit: 'atom-steps' of dynamics, 'steps' of training, 'atom-labels'.
    amount: float = 0.0
    unit: str = ''
    #: Bytes of trajectories that stay on the computer of the code.
    trajectory: float = 0.0
    #: Whether a loop may end earlier.
    bound: bool = False


def work_of(parameters: Parameters, inputs: Mapping[str, Any]) -> list[Work]:
    """Return the work of a chain, in the order of its phases.

    :param parameters: validated parameters of the chain.
    :param inputs: inputs of the chain by port, with namespaces as mappings.
    :raises NotImplementedError: for a chain whose work is not described here.
    """
    return list(_work(parameters, inputs))


@singledispatch
def _work(parameters: Parameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    raise NotImplementedError(type(parameters).__name__)


def within(phase: str, works: Iterable[Work], times: int = 1) -> Iterator[Work]:
    """Return the work of a child under the name of its phase, ``times`` times if it is repeated until it converges."""
    for work in works:
        yield replace(
            work,
            phase=phase if work.phase == phase else f'{phase}/{work.phase}',
            jobs=times * work.jobs,
            amount=times * work.amount,
            trajectory=times * work.trajectory,
            bound=work.bound or times > 1,
        )


def atoms_in(structures: Mapping[str, Any], size: Size) -> list[int]:
    """Return the number of atoms in the supercell of each structure.

    :param structures: `StructureData` by label.
    :param size: minimum image distance in A, three repetitions, or an integer matrix.
    """
    cells = [node.get_pymatgen() for node in structures.values()]
    return [len(cell) * round(float(np.linalg.det(supercell_matrix(cell, size)))) for cell in cells]


# -- dynamics ---------------------------------------------------------------------------------------------------------


def evaluations_per_step(md: Mapping[str, Any], potentials: int) -> float:
    """Return the number of potentials evaluated in a step: the first in each, the others at intervals.

    :param md: parameters of `dpasse.md`.
    :param potentials: number of potentials.
    """
    interval = md.get('deviation_interval') or md.get('sample_interval')
    return 1 + ((potentials - 1) / interval if interval else 0)


def dynamics(md: Mapping[str, Any], atoms: Iterable[int], kind: Kind, potentials: int = 1) -> Work:
    """Return the work of one run of each number of ``atoms``.

    :param md: parameters of `dpasse.md`.
    :param atoms: numbers of atoms.
    :param kind: descriptor of the potential.
    :param potentials: number of potentials.
    """
    counts = list(atoms)
    steps = md['steps'] + (md.get('equilibration') or {}).get('steps', 0)
    frames = md['steps'] / md['trajectory_interval'] if md.get('trajectory_interval') else 0
    return Work(
        'md',
        'lmp',
        kind,
        jobs=len(counts),
        amount=sum(counts) * steps * evaluations_per_step(md, potentials),
        unit='atom-steps',
        trajectory=DUMP_BYTES * frames * sum(counts),
    )


@_work.register
def _conductivity(parameters: ConductivityParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    larger = parameters.finite_size
    atoms = atoms_in(inputs['structures'], parameters.supercell) * len(parameters.temperatures) * parameters.replicas
    if larger is not None:
        atoms += atoms_in(inputs['structures'], larger.supercell) * (larger.replicas or parameters.replicas)
    calculator = inputs.get('calculator')
    kind = (
        calculator['name'] if calculator is not None else descriptor_of(inputs.get('potential'), inputs.get('kind', ''))
    )
    committee = len(inputs.get('committee') or {})
    md = {**({'sample_interval': parameters.trust.interval} if parameters.trust else {}), **parameters.md}
    runs = dynamics(md, atoms, kind, 1 + committee)
    longest = parameters.precision.maximum_steps / parameters.md['steps'] if parameters.precision is not None else 1
    yield replace(
        runs,
        program='lmp' if calculator is None else 'python',
        amount=longest * runs.amount,
        trajectory=longest * runs.trajectory,
        bound=longest > 1,
    )
    yield Work('transport', 'python', 'transport', jobs=len(atoms))


@_work.register
def _convergence(parameters: ConvergenceParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    structures = {'structure': inputs['structure']}
    atoms = [n for size in parameters.supercells for n in atoms_in(structures, size)] * parameters.replicas
    yield dynamics({**parameters.md, 'steps': max(parameters.steps)}, atoms, descriptor_of(inputs.get('potential')))


# -- labels -----------------------------------------------------------------------------------------------------------


def labeller(inputs: Mapping[str, Any]) -> tuple[str, Kind]:
    """Return the code that labels, and the calculator, descriptor or program that determines its speed.

    :param inputs: inputs of a chain, which contain exactly one label source.
    """
    [source] = sources_of(inputs)
    if source == 'calculator':
        return 'python', inputs['calculator']['name']
    if source == TEACHER:
        return 'python', descriptor_of(inputs[TEACHER])
    name = source.removeprefix('codes.')
    return name, name


def labels(parameters: LabelParameters, atoms: Iterable[int], source: tuple[str, Kind], evaluations: int = 1) -> Work:
    """Return the work of labelling one frame of each number of ``atoms``.

    :param parameters: parameters of the labelling.
    :param atoms: numbers of atoms of the frames, or of the initial frames of dynamics.
    :param source: of `labeller`.
    :param evaluations: number of evaluations for each of them.
    """
    counts = list(atoms)
    jobs = len(counts) if source[0] == 'vasp' else ceil(len(counts) / parameters.batch_size)
    return Work('label', *source, jobs=jobs, amount=evaluations * sum(counts), unit='atom-labels')


def copies(parameters: InitialDataParameters | DistillParameters, structures: Mapping[str, Any]) -> list[int]:
    """Return the number of atoms of each perturbed copy of the structures."""
    return atoms_in(structures, parameters.supercell) * (len(parameters.scales) * parameters.perturbations.number)


def contacts(parameters: InitialDataParameters | DistillParameters, structures: Mapping[str, Any]) -> list[int]:
    """Return the number of atoms of each copy with a close contact."""
    number = 0 if parameters.contacts is None else parameters.contacts.number
    return atoms_in(structures, parameters.supercell) * number


@_work.register
def _initial_data(parameters: InitialDataParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    source = labeller(inputs)
    if parameters.relax is not None:
        atoms = atoms_in(inputs['structures'], [1, 1, 1])
        relaxation = labels(parameters.label, atoms, source, parameters.relax.steps)
        yield replace(relaxation, phase='relax', bound=True)
    evaluations = 1 if parameters.dynamics is None else 1 + parameters.dynamics.steps
    yield labels(parameters.label, copies(parameters, inputs['structures']), source, evaluations)
    if pushed := contacts(parameters, inputs['structures']):
        larger = parameters.label.model_copy(update={'batch_size': parameters.label.batch_size * evaluations})
        yield replace(labels(larger, pushed, source), phase='contacts')


# -- training ---------------------------------------------------------------------------------------------------------


def descriptor_of(model: Any, otherwise: Kind = '') -> Kind:
    """Return the descriptor of a potential, or that in the parameters of a training.

    :param model: potential, parameters, or None for a potential that does not exist yet.
    :param otherwise: returned if it is not known.
    """
    if model is None:
        return otherwise
    given = model.input if isinstance(model, TrainParameters) else model.training_input
    return given.get('model', {}).get('descriptor') or otherwise


def training(parameters: TrainParameters, times: int = 1) -> Work:
    """Return the work of ``times`` trainings."""
    steps = times * parameters.input['training']['numb_steps']
    return Work(
        'train',
        'dp',
        descriptor_of(parameters),
        jobs=times,
        amount=steps,
        unit='steps',
        bound=parameters.early_stop is not None,
    )


@_work.register
def _committee(parameters: CommitteeParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    yield training(parameters.train, parameters.members)


@_work.register
def _held_out(parameters: HeldOutParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    yield training(parameters.train)
    yield Work('evaluate', 'python', 'evaluate', jobs=1)


# -- active learning --------------------------------------------------------------------------------------------------


@_work.register
def _explore(parameters: ExploreParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    atoms = atoms_in(inputs['structures'], parameters.supercell)
    conditions = len(parameters.temperatures) * len(parameters.pressures) * parameters.replicas
    # In turn from each structure, as they are drawn.
    runs = (atoms * conditions)[: parameters.runs]
    potentials = inputs.get('potentials') or {}
    kind = descriptor_of(next(iter(potentials.values()), None), inputs.get('kind', ''))
    yield dynamics(parameters.md, runs, kind, len(potentials) or inputs.get('members', 1))


@_work.register
def _active_learning(parameters: ActiveLearningParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    iterations, members = parameters.max_active_iterations, parameters.committee.members
    kind = descriptor_of(parameters.committee.train)
    explored = {**inputs, 'kind': kind, 'members': members}
    yield from within('committee', _work(parameters.committee, inputs), iterations + parameters.final_committee)
    yield from within('explore', _work(parameters.explore, explored), iterations)
    atoms = atoms_in(inputs['structures'], parameters.explore.supercell)
    chosen = [round(sum(atoms) / len(atoms))] * parameters.explore.max_candidates
    yield from within('label', [replace(labels(parameters.label, chosen, labeller(inputs)), bound=True)], iterations)
    calibrated = parameters.explore.trust.mode == 'calibrated'
    tests = iterations * (1 + calibrated) + parameters.final_committee
    yield Work('evaluate', 'python', 'evaluate', jobs=tests, bound=iterations > 1)
    if parameters.conductivity is not None:
        yield from within('conductivity', _work(parameters.conductivity, inputs), iterations)


# -- distillation -----------------------------------------------------------------------------------------------------


@_work.register
def _distill(parameters: DistillParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    teacher, run = inputs.get('teacher'), parameters.dynamics
    kind, student = descriptor_of(teacher, inputs.get('kind', '')), descriptor_of(parameters.train)
    cells = atoms_in(inputs['structures'], parameters.supercell)
    starts = (cells * run.starts)[: run.starts]
    yield replace(dynamics(run.md, starts, kind), phase='teacher')
    sampled = [atoms for atoms in starts for _ in range(run.frames)]
    frames = [
        *copies(parameters, inputs['structures']),
        *contacts(parameters, inputs['structures']),
        *sampled,
        *(sampled * parameters.sample_perturbations.number),
    ]
    yield labels(parameters.label, frames, ('python', kind))
    yield training(parameters.train, parameters.students)
    if parameters.rounds is not None:
        rounds = parameters.rounds.maximum
        again = [
            replace(dynamics(run.md, starts, student), phase='student'),
            labels(parameters.label, sampled, ('python', kind)),
            Work('evaluate', 'python', 'evaluate', jobs=1),
            training(parameters.train),
        ]
        yield from (replace(work, bound=True) for work in within('rounds', again, rounds))
    yield replace(dynamics(run.md, starts[:1], student), phase='compare')
    yield Work('evaluate', 'python', 'evaluate', jobs=1 + (inputs.get('test_data') is not None))
    if parameters.acceptance is not None:
        accepted = {**inputs, 'kinds': (student, kind)}
        yield from within('acceptance', _work(parameters.acceptance, accepted))


@_work.register
def _acceptance(parameters: AcceptanceParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    kinds = inputs.get('kinds') or [descriptor_of(inputs.get(name)) for name in ('student', 'teacher')]
    atoms = atoms_in(inputs['structures'], parameters.supercell)
    yield from (replace(dynamics(parameters.hot, atoms, kind), phase='hot') for kind in kinds)
    if parameters.drift is not None:
        yield replace(dynamics(parameters.drift, atoms, kinds[0]), phase='drift')
    tests = sum(inputs.get(name) is not None for name in ('frames', 'test_data'))
    yield Work('evaluate', 'python', 'evaluate', jobs=tests)
    if parameters.conductivity is not None:
        for kind in kinds:
            for label, node in inputs['structures'].items():
                given = {'structures': {label: node}, 'kind': kind}
                yield from within('transport', _work(parameters.conductivity, given))


# -- the study --------------------------------------------------------------------------------------------------------


@_work.register
def _electrolyte(parameters: ElectrolyteParameters, inputs: Mapping[str, Any]) -> Iterator[Work]:
    teacher = descriptor_of(parameters.pretrain.train)
    student = descriptor_of(parameters.distill.train)
    phases = phases_of(inputs)
    for phase in phases:
        section = getattr(parameters, phase)
        known: dict[str, Any] = {**known_inputs(phase, inputs), 'codes': inputs.get('codes', {})}
        known.setdefault('kind', student if phase in ('conductivity', 'reference') else teacher)
        if 'pretrain' in phases:
            # The frames held out of the pre-training.
            known.setdefault('test_data', True)
        yield from within(phase, _work(section, known))
        if phase == 'conductivity' and parameters.check is not None and sources_of(inputs):
            cells = atoms_in(known['structures'], section.supercell)
            drawn = (cells * parameters.check.frames)[: parameters.check.frames]
            checked = [
                labels(parameters.active_learning.label, drawn, labeller(inputs)),
                Work('evaluate', 'python', 'evaluate', jobs=1),
            ]
            yield from within('check', checked)
