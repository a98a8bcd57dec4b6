"""Which calculators may be called: ours, those of ASE that start no program, and what the owner of a machine allows.

The name and the arguments of a calculator are data, which may come from a stranger's archive. A module is code that is
imported, a command among the arguments is run, and a file among them may be a pickle. The owner of a machine allows
more by the environment variable `ALLOWANCE`; the driver checks it there, and the plugin before it submits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Environment variable: names of Python packages and of ASE's calculators, separated by commas or spaces.
ALLOWANCE = 'AIIDA_DPASSE_CALCULATORS'
SEVENNET = 'sevenn.calculator:SevenNetCalculator'
#: Short names of calculators that are not part of ASE: the class, and the arguments that the name fixes.
KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    'chgnet': ('chgnet.model.dynamics:CHGNetCalculator', {}),
    'mace_mp': ('mace.calculators:mace_mp', {}),
    'sevennet-0': (SEVENNET, {'model': '7net-0'}),
    'sevennet-l3i5': (SEVENNET, {'model': '7net-l3i5'}),
}
#: ASE's calculators that neither start a program nor load a library.
IN_PROCESS = ('eam', 'emt', 'lj', 'morse', 'tip3p', 'tip4p')
#: Text of an argument that is a word, such as the name of a model or a device: no path and no address.
_WORD = re.compile(r'[\w+-][\w .+:-]*', re.ASCII)
_EXPORT = re.compile(rf'^\s*(?:export\s+)?{ALLOWANCE}=(?:"([^"]*)"|\'([^\']*)\'|(\S*))', re.MULTILINE)


class NotAllowedError(ValueError):
    """A calculator may not be called on this machine; the message is a clause for people."""


def objection_to_calculator(calculator: Mapping[str, Any], allowance: str) -> str | None:
    """Check that a calculator may be called.

    :param calculator: ``name`` of the calculator, and its arguments.
    :param allowance: value of the variable `ALLOWANCE` on the machine.
    :returns: a clause that says what to do, or None.

    >>> objection_to_calculator({'name': 'emt'}, '') is None
    True
    >>> objection_to_calculator({'name': 'orb_models.forcefield:ORBCalculator'}, 'orb_models,vasp') is None
    True
    """
    name = str(calculator.get('name'))
    path, _ = KNOWN.get(name, (name, {}))
    allowed = set(re.split(r'[,\s]+', allowance)) - {''}
    owner = package_of(path)
    if owner in allowed:
        return None
    allow = f'if you trust it, allow `{owner}` on the computer of the code (`export {ALLOWANCE}={owner}`)'
    ours = {known for known, _ in KNOWN.values()}
    if path not in ours and path.removeprefix('ase.calculators.').partition(':')[0] not in IN_PROCESS:
        return f'`{path}` is neither one of {", ".join(KNOWN)} nor a calculator of ASE that starts no program: {allow}'
    arguments = {key: value for key, value in calculator.items() if key != 'name'}
    if (text := next(_files(arguments), None)) is not None:
        return f'the argument {text!r} of `{name}` is a file or an address: {allow}'
    return None


def package_of(path: str) -> str:
    """Return what has to be allowed for a calculator: its package, or the name of ASE's.

    :param path: 'module:Class', or a name of ASE's.

    >>> package_of('sevenn.calculator:SevenNetCalculator'), package_of('vasp')
    ('sevenn', 'vasp')
    """
    module, colon, _ = path.partition(':')
    return module.partition('.')[0] if colon else path


def allowance_in(text: str) -> str | None:
    """Return the value that shell lines give the variable `ALLOWANCE`, None if they do not.

    :param text: shell lines that precede a program.
    """
    values = [match[1] or match[2] or match[3] or '' for match in _EXPORT.finditer(text)]
    return values[-1] if values else None


def _files(value: Any) -> Any:
    """Yield text, at any depth, that may name a file or an address."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _files(str(key))
            yield from _files(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _files(item)
    elif isinstance(value, str) and value and (not _WORD.fullmatch(value) or '..' in value):
        yield value if len(value) <= 60 else value[:56] + ' ...'
