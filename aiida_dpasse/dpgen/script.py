"""Generate a `verdi run` script, to be completed by the user, for the work chain that DP-GEN's files define.

Whatever stands in the files is written as a Python literal, never as code or comment.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.dpgen.param import ACTIVE_LEARNING, Conversion

_HEAD = '''"""{what}, converted from DP-GEN by `aiida-dpasse dpgen convert`; start it with `verdi run`."""

from aiida.engine import submit
from aiida.plugins import WorkflowFactory

from aiida_dpasse.dpgen.param import replace_sections
from aiida_dpasse.explore.from_dpgen import read_frames{names}

# The file that was converted.
SOURCE = {source}
'''
_STOP = """if TO_DO:
    raise SystemExit('Do this first, and take what is done out of TO_DO in this script:\\n' + '\\n'.join(TO_DO))
"""
_TAIL = """builder = WorkflowFactory({chain!r}).get_builder_from_protocol(
    CODES,
    protocol=PROTOCOL,
    overrides=OVERRIDES,
    options=OPTIONS,
    frames=read_frames(FRAMES, TYPE_MAP),
{structures}    **INPUTS,
)
builder.parameters = replace_sections(builder.parameters.get_dict(), SECTIONS)
node = submit(builder)
print(f'submitted: aiida-dpasse status {{node.pk}}')
"""
_STRUCTURES = '    structures=read_structures(STRUCTURES, FORMAT, TYPE_MAP),\n'
CODES = {ACTIVE_LEARNING: (PROGRAM, 'lmp', 'python')}
WIDTH = 100


def script(conversion: Conversion, source: str, protocol: str = 'balanced') -> str:
    """Return the text of the script.

    :param conversion: converted input of DP-GEN.
    :param source: name of the converted file.
    :param protocol: protocol that the converted parameters are merged into.
    """
    explores = conversion.chain == ACTIVE_LEARNING
    names = [*CODES.get(conversion.chain, (PROGRAM, 'python')), *([conversion.labeller] if conversion.labeller else [])]
    codes = {name: f'{conversion.executables.get(name, name)}@localhost' for name in names}
    files = {label: str(path) for label, path in conversion.structures.items()}
    parts: list[tuple[str, str, Any]] = [
        ('Edit: the labels of your codes, as `verdi code list` has them.', 'CODES', codes),
        ('Settings that DP-GEN does not have.', 'PROTOCOL', protocol),
        ('Laid over the protocol.', 'OVERRIDES', conversion.overrides),
        ('Instead of what the protocol has in these places.', 'SECTIONS', conversion.sections),
        ('Scheduler options by program, with shell lines that jobs run: read them.', 'OPTIONS', conversion.options),
        ('Labelled frames to start from.', 'FRAMES', [str(path) for path in conversion.datasets]),
        ('Elements, for files that only number them.', 'TYPE_MAP', conversion.type_map),
    ]
    if explores:
        parts += [
            ('Structures to explore, and their format.', 'STRUCTURES', files),
            ('', 'FORMAT', conversion.structure_format),
        ]
    parts += [
        ('Other inputs of the work chain.', 'INPUTS', conversion.inputs),
        ('The script stops while a line is left.', 'TO_DO', list(conversion.to_do.values())),
    ]
    text = ''.join(
        (f'# {comment}\n' if comment else '') + f'{name} = {literal(value)}\n' for comment, name, value in parts
    )
    head = _HEAD.format(
        what='Active learning' if explores else 'Selection from labelled frames',
        names=', read_structures' if explores else '',
        source=literal(source),
    )
    return head + text + _STOP + '\n' + _TAIL.format(chain=conversion.chain, structures=_STRUCTURES if explores else '')


def literal(value: Any, indent: str = '') -> str:
    """Return ``value`` as a Python literal, with one entry per line where a single line would be too long.

    :param value: value to write.
    :param indent: indentation of the first line.
    :raises ValueError: for a number that is not finite.
    """
    text = repr(value)
    if len(indent) + len(text) <= WIDTH or not isinstance(value, (Mapping, list)):
        try:
            ast.literal_eval(text)
        except ValueError:
            raise ValueError('A number is not finite, so it has no Python literal: correct the input.') from None
        return text
    inner = indent + '    '
    if isinstance(value, list):
        entries = [literal(item, inner) for item in value]
        return '[\n' + ''.join(f'{inner}{entry},\n' for entry in entries) + f'{indent}]'
    lines = [f'{inner}{key!r}: {literal(item, inner)},\n' for key, item in value.items()]
    return '{\n' + ''.join(lines) + f'{indent}}}'
