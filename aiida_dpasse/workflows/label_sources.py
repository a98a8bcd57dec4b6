"""What can label: one interface, chosen by what is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import Process
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.label import LabelCalculation, validate_calculator, validate_teacher
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.workflows.label_shell import ShellLabelWorkChain

#: Inputs that label through our own driver, which needs the code `python`.
DRIVEN = ('calculator', 'potential')
#: Process that labels a batch, by the code that labels.
BY_CODE: dict[str, type[Process]] = {'shell': ShellLabelWorkChain}
#: Codes of which a labelling may need one.
LABEL_CODES = ('python', *BY_CODE)


def define_labeller(spec: WorkChainSpec) -> None:
    """Define the inputs of which one labels, alike in every chain that labels; the others are optional codes."""
    spec.input(
        'calculator',
        valid_type=orm.Dict,
        required=False,
        serializer=orm.to_aiida_type,
        validator=validate_calculator,
        help="ASE calculator: `name` ('chgnet', a name of ASE's, or 'module:Class') and its arguments.",
    )
    spec.input(
        'potential',
        valid_type=DeepPotentialData,
        required=False,
        help='Teacher that labels, instead of a calculator.',
    )


def sources_of(inputs: Any) -> list[str]:
    """Return everything among ``inputs`` that could label."""
    codes = inputs.get('codes', {})
    return [*(name for name in DRIVEN if name in inputs), *(f'codes.{name}' for name in BY_CODE if name in codes)]


def labeller_of(inputs: Mapping[str, Any]) -> dict[str, orm.Data]:
    """Return the inputs, beside the codes, that a child that labels is to be given."""
    return {name: inputs[name] for name in DRIVEN if name in inputs}


def process_of(inputs: Any) -> tuple[str, type[Process]]:
    """Return what labels, and the process that labels a batch with it."""
    [source] = sources_of(inputs)
    name = source.removeprefix('codes.')
    return name, BY_CODE.get(name, LabelCalculation)


def validate_labeller(inputs: Any, _: Any = None) -> str | None:
    """Return one sentence unless exactly one labeller is given, with the code and the parameters that it needs."""
    sources, known = sources_of(inputs), ', '.join([*DRIVEN, *(f'codes.{name}' for name in BY_CODE)])
    if not sources:
        return f'{known}: none is given; give one of them to label with.'
    if len(sources) > 1:
        return f'{", ".join(sources)}: give one of them to label with, not {len(sources)}.'
    if sources[0] in DRIVEN and 'python' not in inputs.get('codes', {}):
        return f'codes.python: it is missing; `{sources[0]}` labels with it.'
    return validate_teacher(inputs)
