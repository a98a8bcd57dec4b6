"""Generate a `verdi run` script, to be edited by the user, for an active learning run defined by DP-GEN's files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_dpasse.deepmd.engine import PROGRAM
from aiida_dpasse.dpgen.param import Conversion

_HEAD = '''"""Active learning, converted from {source} by `aiida-dpasse dpgen convert`: verdi run {target}"""

from aiida.engine import submit
from aiida.plugins import WorkflowFactory

from aiida_dpasse.dpgen.param import replace_sections
from aiida_dpasse.explore.from_dpgen import read_frames, read_structures

# Edit: the labels of your codes, as `verdi code list` has them.
'''
_TAIL = """builder = WorkflowFactory('dpasse.active_learning').get_builder_from_protocol(
    CODES,
    protocol={protocol!r},
    overrides=OVERRIDES,
    options=OPTIONS,
    frames=read_frames(FRAMES),
    structures=read_structures(STRUCTURES, {fmt!r}, TYPE_MAP),
{inputs})
builder.parameters = replace_sections(builder.parameters.get_dict(), SECTIONS)
node = submit(builder)
print(f'submitted: aiida-dpasse status {{node.pk}}')
"""
CODES = (PROGRAM, 'lmp', 'python')
WIDTH = 100


def script(conversion: Conversion, source: str, target: str = 'SCRIPT', protocol: str = 'balanced') -> str:
    """Return the text of the script.

    :param conversion: converted input of DP-GEN.
    :param source: name of the converted file.
    :param target: name of the script.
    :param protocol: protocol that the converted parameters are merged into.
    """
    names = [*CODES, *([conversion.labeller] if conversion.labeller else [])]
    codes = {name: f'{name}@localhost' for name in names}
    folders = [str(path) for path in conversion.datasets]
    files = {label: str(path) for label, path in conversion.structures.items()}
    parts = [
        _assigned('CODES', codes),
        '# Laid over the protocol.',
        _assigned('OVERRIDES', conversion.overrides),
    ]
    if conversion.labeller == 'vasp':
        parts += [
            '# Edit: the POTCAR family, as `aiida-vasp potcar uploadfamily` named it.',
            "OVERRIDES['label']['vasp']['potential_family'] = 'PBE.54'",
        ]
    parts += [
        '# Instead of what the protocol has in these places.',
        _assigned('SECTIONS', conversion.sections),
        '# Scheduler options by program.',
        _assigned('OPTIONS', conversion.options),
        '# Labelled frames to start from, and structures to explore.',
        _assigned('FRAMES', folders),
        _assigned('STRUCTURES', files),
        _assigned('TYPE_MAP', conversion.type_map),
    ]
    inputs = [f'    {name}={value!r},\n' for name, value in conversion.inputs.items()]
    if conversion.labeller is None:
        inputs.append(
            '    # Edit: what labels, an ASE calculator or the code `shell`.\n'
            "    calculator={'name': 'sevennet-l3i5'},\n"
        )
    tail = _TAIL.format(protocol=protocol, fmt=conversion.structure_format, inputs=''.join(inputs))
    return _HEAD.format(source=source, target=target) + '\n'.join(parts) + '\n\n' + tail


def _assigned(name: str, value: Any) -> str:
    return f'{name} = {literal(value)}'


def literal(value: Any, indent: str = '') -> str:
    """Return ``value`` as a Python literal, with one entry per line where a single line would be too long.

    :param value: value to write.
    :param indent: indentation of the first line.
    """
    text = repr(value)
    if len(indent) + len(text) <= WIDTH or not isinstance(value, (Mapping, list)):
        return text
    inner = indent + '    '
    if isinstance(value, list):
        entries = [literal(item, inner) for item in value]
        return '[\n' + ''.join(f'{inner}{entry},\n' for entry in entries) + f'{indent}]'
    lines = [f'{inner}{key!r}: {literal(item, inner)},\n' for key, item in value.items()]
    return '{\n' + ''.join(lines) + f'{indent}}}'
