"""Label sources: the inputs that can label, and the process that each of them runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from aiida import orm
from aiida.engine import Process
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.jobs import LabelJobWorkChain
from aiida_dpasse.calculations.label import (
    CALCULATOR_HELP,
    check_allowed,
    physics_of,
    validate_calculator,
    validate_teacher,
)
from aiida_dpasse.data.engine import Potential, validate_potentials
from aiida_dpasse.label.batch import BatchLabelWorkChain
from aiida_dpasse.label.job_parameters import job_parameters
from aiida_dpasse.label_sources import load_sources
from aiida_dpasse.parameters.base import given as inputs_given

#: Input of a potential that labels.
TEACHER = 'potential'
#: Inputs that label through the plugin's driver, which requires the code `python`.
DRIVEN = ('calculator', TEACHER)
#: Process that labels a batch, by the name of the code.
BY_CODE: dict[str, type[BatchLabelWorkChain]] = load_sources()
#: Codes of which a labelling needs at most one.
LABEL_CODES = ('python', *BY_CODE)


def define_labeller(spec: WorkChainSpec, teacher: str = TEACHER) -> None:
    """Define the inputs of a labeller; the programs that label are optional codes.

    :param spec: specification of the chain.
    :param teacher: name of the input of the potential that labels, for chains in which `potential` has another role.
    """
    spec.input(
        'calculator',
        valid_type=orm.Dict,
        required=False,
        serializer=orm.to_aiida_type,
        validator=validate_calculator,
        help=CALCULATOR_HELP,
    )
    spec.input(
        teacher,
        valid_type=Potential,
        validator=validate_potentials,
        required=False,
        help='Teacher potential that labels, instead of a calculator.',
    )


def sources_of(inputs: Any) -> list[str]:
    """Return the names of all inputs that could label.

    :param inputs: inputs of a chain, in which the potential that labels is `potential`.
    """
    codes = inputs.get('codes', {})
    driven = [name for name in DRIVEN if inputs.get(name) is not None]
    return [*driven, *(f'codes.{name}' for name in BY_CODE if codes.get(name) is not None)]


def labeller_of(inputs: Mapping[str, Any], teacher: str = TEACHER) -> dict[str, orm.Data]:
    """Return the inputs of the labeller, except codes, for a child.

    :param inputs: inputs of the calling chain.
    :param teacher: as in `define_labeller`.
    """
    names = {name: teacher if name == TEACHER else name for name in DRIVEN}
    return {name: inputs[given] for name, given in names.items() if inputs.get(given) is not None}


def source_of(inputs: Mapping[str, Any], label: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labeller as data: equal for two inputs that give the same labels.

    :param inputs: inputs with exactly one labeller.
    :param label: parameters of a labelling, which contain the settings of the programs.
    :returns: ``kind`` ('calculator', 'potential' or 'program') and ``name``; for a calculator its class and its
        arguments without those of the device, for a potential the SHA-256 of its file, and for a program its settings;
        for a program that can be any, also the name of its executable.
    """
    [source] = sources_of(inputs)
    if source == TEACHER:
        potential = inputs[TEACHER]
        return {'kind': TEACHER, 'name': potential.descriptor or TEACHER, 'sha256': potential.sha256}
    if source in DRIVEN:
        given = inputs[source].get_dict()
        path, arguments = physics_of(given)
        return {'kind': source, 'name': given['name'], 'class': path, 'arguments': arguments}
    name = source.removeprefix('codes.')
    chain, code = BY_CODE[name], inputs['codes'][name]
    own = chain.PARAMETERS.model_validate(job_parameters(label, name)).model_dump(mode='json')[name]
    settings = {key: value for key, value in own.items() if key != 'retry'}
    found = {'kind': 'program', 'name': name, 'settings': settings}
    return found if chain.EXECUTABLES else {**found, 'executable': PurePath(str(code.filepath_executable)).name}


def process_of(inputs: Any) -> tuple[str, type[Process]]:
    """Return the name of the labeller and the process that labels a batch.

    :param inputs: inputs with exactly one labeller.
    """
    [source] = sources_of(inputs)
    name = source.removeprefix('codes.')
    return name, BY_CODE.get(name, LabelJobWorkChain)


def validate_labeller(inputs: Any, _: Any = None, teacher: str = TEACHER) -> str | None:
    """Check that exactly one labeller is given, with the code and the parameters that it requires.

    :param inputs: inputs of a chain.
    :param teacher: as in `define_labeller`.
    :returns: one sentence that states the problem, or None.
    """
    inputs = inputs_given(inputs)
    given = {name: inputs[name] for name in inputs if name not in DRIVEN} | labeller_of(inputs, teacher)
    called = {TEACHER: teacher}
    sources = [called.get(name, name) for name in sources_of(given)]
    driven = [called.get(name, name) for name in DRIVEN]
    known = ', '.join([*driven, *(f'codes.{name}' for name in BY_CODE)])
    if not sources:
        return f'{known}: none is given; give one of them to label with.'
    if len(sources) > 1:
        return f'{", ".join(sources)}: give one of them to label with, not {len(sources)}.'
    if sources[0] in driven and inputs.get('codes', {}).get('python') is None:
        return f'codes.python: it is missing; `{sources[0]}` requires it.'
    if message := check_allowed(given.get('calculator'), inputs.get('codes', {}).get('python'), inputs.get('options')):
        return message
    message = validate_teacher(given)
    return validate_program(given) or (message and message.replace(TEACHER, teacher, 1))


def validate_program(inputs: Any) -> str | None:
    """Check that the labelling program accepts the parameters and the elements of frames and structures.

    :param inputs: inputs with exactly one labeller.
    :returns: one sentence that states the problem, or None.
    """
    name = sources_of(inputs)[0].removeprefix('codes.')
    if name not in BY_CODE or 'parameters' not in inputs:
        return None
    elements = set(inputs['frames'].elements) if 'frames' in inputs else set()
    for port in ('structures', 'finetune_structures'):
        for structure in inputs.get(port, {}).values():
            elements |= set(structure.get_symbols_set())
    parameters = inputs['parameters'].get_dict()
    for settings in list(label_sections(parameters)) or [parameters]:
        if message := BY_CODE[name].objection(job_parameters(settings, name), elements):
            return message
    return None


def label_sections(parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the label parameters at any depth of ``parameters``, with relaxation and dynamics of initial data added."""
    if isinstance(own := parameters.get('label'), Mapping):
        if parameters.get('relax') is not None:
            yield {**own, 'relaxation': parameters['relax']}
        dynamics = parameters.get('dynamics')
        yield {**own, 'dynamics': dynamics} if dynamics else dict(own)
    for value in parameters.values():
        if isinstance(value, Mapping):
            yield from label_sections(value)
