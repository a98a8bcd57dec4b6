"""The passport of the labels: the input of chains that label for training, its check, and its line in a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from pydantic import Field, ValidationError

from aiida_dpasse.assessment.passport import SOFT, shown
from aiida_dpasse.label.sources import BY_CODE, label_sections, source_of, sources_of
from aiida_dpasse.reports.graph import inputs as inputs_of

PASSPORT = 'passport'
#: Keys that a passport has, of those that `assessment.passport` and the chain add.
KEYS = {'source', 'forces', 'verdict', 'reason'}
#: Smallest and largest slope of the forces of a calculator against PBE, on crystals and hot frames of Li10GeP2S12:
#: docs/passport.md.
MEASURED = {'chgnet': (0.55, 0.71), 'sevennet-0': (0.83, 0.91), 'sevennet-l3i5': (0.93, 0.96)}
#: Field of the parameters of a chain that takes a passport.
ACCEPT_SOFT_LABELS: Any = Field(
    default=False, description='Whether labels are used although their `passport` says that they are soft.'
)


def define_passport(spec: WorkChainSpec) -> None:
    """Define the input `passport`.

    :param spec: specification of the chain.
    """
    spec.input(
        PASSPORT,
        valid_type=orm.Dict,
        required=False,
        help='Passport of the labeller, the output of `dpasse.passport`: soft labels are refused, and the results show '
        'what the labels are worth.',
    )


def passport_of(inputs: Mapping[str, Any]) -> dict[str, orm.Dict]:
    """Return the passport by the name of its port, empty if none is given.

    :param inputs: inputs of a chain.
    """
    return {} if inputs.get(PASSPORT) is None else {PASSPORT: inputs[PASSPORT]}


def validate_passport(inputs: Mapping[str, Any]) -> str | None:
    """Check that the passport is that of the labeller, and that its labels are not soft, unless they are accepted.

    :param inputs: inputs of a chain, with the field `accept_soft_labels` in its parameters.
    :returns: one sentence that states the problem, or None.
    """
    node = inputs.get(PASSPORT)
    if node is None or inputs.get('parameters') is None:
        return None
    passport, parameters = node.get_dict(), inputs['parameters'].get_dict()
    if not set(passport) >= KEYS:
        return 'passport: it is not the output `passport` of `dpasse.passport`: give that, or omit the input.'
    # Several labellers are reported by the check of the labeller; without one, the labels are given as frames.
    if len(sources_of(inputs)) == 1:
        found, own = labellers(inputs, parameters), passport['source']
        if not any(_same(own, other) for other in found):
            name = found[0]['name'] if found else sources_of(inputs)[0]
            differs = f'`{name}` with other settings' if name == own['name'] else f'`{name}`'
            return (
                f'passport: it is that of `{own["name"]}`, but {differs} would label: make one of this labeller with '
                '`dpasse.passport`, or omit it.'
            )
    if passport['verdict'] == SOFT and not parameters.get('accept_soft_labels', False):
        return (
            f'passport: the labels are soft. {passport["reason"]} Give another labeller, or set `accept_soft_labels: '
            'true` in the parameters.'
        )
    return None


def labellers(inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the labeller as data, once for each section of labels in the parameters, whose settings may differ.

    :param inputs: inputs with exactly one labeller.
    :param parameters: parameters of a chain; sections with invalid settings are left out.
    """
    found = []
    for label in list(label_sections(parameters)) or [dict(parameters)]:
        try:
            found.append(source_of(inputs, label))
        except ValidationError:
            continue
    return found


def _same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two sources give the same labels; a calculator can have a short name and that of its class."""
    return {**first, 'name': None} == {**second, 'name': None}


def quality(passport: Mapping[str, Any] | None) -> str:
    """Return what the labels are worth as a short line.

    :param passport: content of the passport, or None.

    >>> quality(None)
    'labels of unknown quality: no passport'
    """
    if not passport:
        return 'labels of unknown quality: no passport'
    slope = shown(passport['forces']['slope'], passport['forces']['interval'])
    return f'labels by {passport["source"]["name"]}: slope of forces {slope}, {passport["verdict"]}'


def quality_of(process: orm.ProcessNode) -> str:
    """Return what the labels of a process are worth as a short line; those of VASP and CP2K need no passport.

    Without a passport, a calculator that was measured elsewhere (`MEASURED`) is given with that slope.

    :param process: process with the optional input `passport`.
    """
    given = dict(inputs_of(process))
    if isinstance(passport := given.get(PASSPORT), orm.Dict):
        return quality(passport.get_dict())
    programs = [name for name, source in BY_CODE.items() if source.EXECUTABLES and f'codes__{name}' in given]
    if programs:
        return f'labels by {programs[0]}'
    calculator = given.get('calculator')
    name = calculator['name'] if isinstance(calculator, orm.Dict) else None
    if name not in MEASURED:
        return quality(None)
    low, high = MEASURED[name]
    return f'labels by {name}, without a passport: slope of forces {low} to {high} on Li10GeP2S12'


def brief(passport: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the main entries of a passport, None without one.

    :param passport: content of the passport, or None.
    """
    if not passport:
        return None
    forces = passport['forces']
    return {
        'source': passport['source']['name'],
        'force_slope': forces['slope'],
        'force_slope_interval': forces['interval'],
        'verdict': passport['verdict'],
    }
