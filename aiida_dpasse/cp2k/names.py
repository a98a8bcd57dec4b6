"""Sections and keywords that CP2K knows."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple
from xml.etree import ElementTree

#: Paths in CP2K's input of the settings that are given separately.
MIXING, OT = ('FORCE_EVAL', 'DFT', 'SCF', 'MIXING'), ('FORCE_EVAL', 'DFT', 'SCF', 'OT')
KIND = ('FORCE_EVAL', 'SUBSYS', 'KIND')


class Section(NamedTuple):
    """A section of CP2K's input: keywords with their aliases, and subsections by name.

    ``open`` is true if lines of any content are allowed, as in a table of coordinates.
    """

    keywords: frozenset[str]
    sections: dict[str, Section]
    open: bool


@cache
def input_schema() -> Section | None:
    """Return the sections in CP2K's own description of its input, or None if that is not installed.

    The description is part of cp2k-input-tools, which is installed with aiida-cp2k.
    """
    try:
        from cp2k_input_tools import DEFAULT_CP2K_INPUT_XML
    except ImportError:
        return None
    return _section(ElementTree.parse(DEFAULT_CP2K_INPUT_XML).getroot())


def objection_to_settings(cp2k: Mapping[str, Any]) -> str | None:
    """Check the settings ``cp2k`` for misspelt keywords and sections.

    :param cp2k: ``scf``, ``kinds`` and ``input``, see :func:`aiida_dpasse.cp2k.input.label_input`.
    :returns: one sentence that states the problem, or None.
    """
    scf = cp2k.get('scf') or {}
    parts: list[tuple[str, tuple[str, ...], Any]] = [('input', (), cp2k.get('input') or {})]
    parts += [('scf.mixing', MIXING, scf.get('mixing') or {}), ('scf.ot', OT, scf.get('ot') or {})]
    parts += [(f'kinds.{name}', KIND, keywords) for name, keywords in (cp2k.get('kinds') or {}).items()]
    for name, path, content in parts:
        if message := objection_to_names(path, content):
            return f'`cp2k.{name}`: {message}'
    return None


def objection_to_names(path: tuple[str, ...], content: Any) -> str | None:
    """Check the content of a section for names that resemble one of CP2K's.

    A name without resemblance may belong to another release than the schema and is accepted.

    :param path: path of the section.
    :param content: content of the section.
    :returns: one sentence that states the problem, or None.
    """
    section = input_schema()
    for name in path:
        section = section.sections.get(name) if section else None
    return _objection(section, content, '/'.join(path)) if section else None


def _objection(section: Section, content: Any, where: str) -> str | None:
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, Mapping):
            continue
        for given, value in part.items():
            name = str(given).upper()
            inside = value[0] if isinstance(value, list) and value else value
            if name in section.sections and isinstance(inside, Mapping | None):
                message = _objection(section.sections[name], value, f'{where}/{name}'.lstrip('/'))
                if message:
                    return message
            elif name != '_' and name not in section.keywords and name not in section.sections and not section.open:
                near = get_close_matches(name, [*section.keywords, *section.sections], 1)
                if near:
                    place = f"CP2K's section {where}" if where else "CP2K's input"
                    return f'{place} has no {given}: did you mean {near[0]}?'
    return None


def _section(element: ElementTree.Element) -> Section:
    keywords = {str(name.text) for word in element.findall('KEYWORD') for name in word.findall('NAME')}
    sections = {str(child.findtext('NAME')): _section(child) for child in element.findall('SECTION')}
    return Section(frozenset(keywords), sections, element.find('DEFAULT_KEYWORD') is not None)
