"""What can label: one interface, chosen by what is handed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiida import orm
from aiida.engine import Process
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.base.jobs import LabelJobWorkChain
from aiida_dpasse.calculations.label import validate_calculator, validate_teacher
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.label.batch import BatchLabelWorkChain
from aiida_dpasse.label.cp2k import Cp2kLabelWorkChain
from aiida_dpasse.label.shell import ShellLabelWorkChain
from aiida_dpasse.label.vasp import VaspLabelWorkChain
from aiida_dpasse.parameters.base import given as inputs_given
from aiida_dpasse.parameters.label import job_parameters

#: Input that labels if it is given: a potential.
TEACHER = 'potential'
#: Inputs that label through our own driver, which needs the code `python`.
DRIVEN = ('calculator', TEACHER)
#: Process that labels a batch, by the code that labels.
BY_CODE: dict[str, type[BatchLabelWorkChain]] = {
    'vasp': VaspLabelWorkChain,
    'cp2k': Cp2kLabelWorkChain,
    'shell': ShellLabelWorkChain,
}
#: Codes of which a labelling may need one.
LABEL_CODES = ('python', *BY_CODE)


def define_labeller(spec: WorkChainSpec, teacher: str = TEACHER) -> None:
    """Define the inputs of which one labels, alike in every chain that labels; the others are optional codes.

    :param teacher: what the potential that labels is called, in a chain whose `potential` does something else.
    """
    spec.input(
        'calculator',
        valid_type=orm.Dict,
        required=False,
        serializer=orm.to_aiida_type,
        validator=validate_calculator,
        help="ASE calculator: `name` ('chgnet', a name of ASE's, or 'module:Class') and its arguments.",
    )
    spec.input(
        teacher,
        valid_type=DeepPotentialData,
        required=False,
        help='Teacher that labels, instead of a calculator.',
    )


def sources_of(inputs: Any) -> list[str]:
    """Return everything among ``inputs`` that could label."""
    codes = inputs.get('codes', {})
    driven = [name for name in DRIVEN if inputs.get(name) is not None]
    return [*driven, *(f'codes.{name}' for name in BY_CODE if codes.get(name) is not None)]


def labeller_of(inputs: Mapping[str, Any], teacher: str = TEACHER) -> dict[str, orm.Data]:
    """Return the inputs, beside the codes, that a child that labels is to be given; ``teacher`` as in
    `define_labeller`."""
    names = {name: teacher if name == TEACHER else name for name in DRIVEN}
    return {name: inputs[given] for name, given in names.items() if inputs.get(given) is not None}


def process_of(inputs: Any) -> tuple[str, type[Process]]:
    """Return what labels, and the process that labels a batch with it."""
    [source] = sources_of(inputs)
    name = source.removeprefix('codes.')
    return name, BY_CODE.get(name, LabelJobWorkChain)


def validate_labeller(inputs: Any, _: Any = None, teacher: str = TEACHER) -> str | None:
    """Return one sentence unless exactly one labeller is given, with the code and the parameters that it needs;
    ``teacher`` as in `define_labeller`."""
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
        return f'codes.python: it is missing; `{sources[0]}` labels with it.'
    message = validate_teacher(given)
    return validate_program(given) or (message and message.replace(TEACHER, teacher, 1))


def validate_program(inputs: Any) -> str | None:
    """Return one sentence if the program that labels cannot, with its parameters, label the frames or structures."""
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
    """Yield the parameters of every labelling in those of a chain, with what initial data adds to them."""
    if isinstance(own := parameters.get('label'), Mapping):
        if parameters.get('relax') is not None:
            yield {**own, 'relaxation': parameters['relax']}
        dynamics = parameters.get('dynamics')
        yield {**own, 'dynamics': dynamics} if dynamics else dict(own)
    for value in parameters.values():
        if isinstance(value, Mapping):
            yield from label_sections(value)
