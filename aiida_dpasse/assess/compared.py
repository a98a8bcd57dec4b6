"""Potentials and ASE calculators that are compared with each other: their ports and checks."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.label import CALCULATOR_HELP, check_allowed, validate_calculator
from aiida_dpasse.data.engine import Potential, validate_potentials


def define_compared(spec: WorkChainSpec) -> None:
    """Define the namespaces `potentials` and `calculators`.

    :param spec: specification of the chain.
    """
    spec.input_namespace(
        'potentials',
        valid_type=Potential,
        validator=validate_potentials,
        required=False,
        help='Potentials by label; checkpoints are frozen first, by the code `dp`, where LAMMPS runs them.',
    )
    spec.input_namespace(
        'calculators',
        valid_type=orm.Dict,
        required=False,
        help=f'By label. {CALCULATOR_HELP}',
    )


def check_compared(inputs: Any, port: Any) -> str | None:
    """Check that there is a potential or calculator, that labels are unique, and that calculators are valid.

    :param inputs: inputs of a chain.
    :param port: the port namespace.
    :returns: one sentence that states the problem, or None.
    """
    potentials, calculators = inputs.get('potentials') or {}, inputs.get('calculators') or {}
    if not potentials and not calculators:
        return 'potentials, calculators: give at least one.'
    if twice := sorted(set(potentials) & set(calculators)):
        return f'calculators: the label `{twice[0]}` is that of a potential as well: choose another.'
    for label, calculator in calculators.items():
        python = (inputs.get('codes') or {}).get('python')
        if message := validate_calculator(calculator, port) or check_allowed(calculator, python, inputs.get('options')):
            return f'calculators.{label}: {message}'
    return None
