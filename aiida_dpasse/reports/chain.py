"""Diagram of a workflow: its phases and the nodes passed between them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from pymatgen.core.composition import Composition

from aiida_dpasse.reports.cause import cause
from aiida_dpasse.reports.drawing import Item, draw
from aiida_dpasse.reports.graph import Call, below, call_tree, inputs, outputs
from aiida_dpasse.reports.timing import PhaseTime, clock, phase_times
from aiida_dpasse.unreadable import UnreadableError

#: Node types that are drawn between phases; settings and tables would obscure the chain.
KINDS = {
    'data.core.structure.StructureData.': 'structure',
    'data.dpasse.frames.FramesData.': 'frames',
    'data.dpasse.potential.DeepPotentialData.': 'potential',
}
NAMES = {'structure': 'Structure', 'frames': 'Frames', 'potential': 'Potential'}
GIVEN = 'given'
#: Largest number of items in a diagram.
MOST_ITEMS = 400
#: Phases of one kind with the same sources are drawn as one from this number on.
MANY = 3
TITLES = {
    'md': 'Molecular dynamics',
    'pretrain': 'Pre-training',
    'finetune_labels': 'Data of the new compound',
    'finetune': 'Fine-tuning',
    'distill': 'Distillation',
}


def chain_svg(
    process: orm.ProcessNode,
    heading: str = '',
    captions: Mapping[str, Sequence[str]] | None = None,
    results: Mapping[str, tuple[str, Sequence[str]]] | None = None,
) -> str:
    """Return the diagram of a workflow as SVG.

    :param process: the workflow.
    :param heading: title of the diagram.
    :param captions: lines below the name of a phase, by its call link label.
    :param results: title and lines of the result of a phase, drawn below it.
    """
    tree = call_tree(process.pk)
    phases = [phase for phase in phase_times(tree) if phase.pk != process.pk]
    items: dict[str, Item] = {}
    edges: list[tuple[str, str]] = []
    groups = _group(process, tree, phases)
    flow = _Flow(process, tree, {phase.pk: members[0].phase for members in groups for phase in members})
    for members in groups:
        name = members[0].phase
        items[name] = _phase(members, (captions or {}).get(name, ()))
        for (maker, kind), nodes in flow.sources([phase.pk for phase in members]).items():
            # Inputs of the whole workflow are drawn next to each phase that uses them: long edges would obscure the
            # flow.
            key = f'{maker}/{kind}' if maker != GIVEN else f'{maker}/{kind}/{name}'
            items.setdefault(key, described(key, kind, nodes))
            edges += [(maker, key)] if maker != GIVEN and (maker, key) not in edges else []
            edges.append((key, name))
    for members in groups:
        name = members[0].phase
        for kind, nodes in flow.final([phase.pk for phase in members]).items():
            key = f'{name}/{kind}'
            if key not in items:
                items[key] = described(key, kind, nodes)
                edges.append((name, key))
        if results and name in results:
            title, found = results[name]
            key = f'{name}/result'
            items[key] = Item(key, title, list(found), 'result')
            edges.append((name, key))
    if not items:
        reason = str(process.exit_message or process.exception or 'It has not begun.')
        items['nothing'] = Item('nothing', 'No program ran', [reason.splitlines()[-1]], 'failed')
    if len(items) > MOST_ITEMS:
        raise UnreadableError(f'{len(items)} phases and nodes are too many for a picture.')
    counts = {
        'process': len(tree),
        'job': sum(call.is_job for call in tree),
        'function': sum('FunctionNode' in call.node_type for call in tree),
    }
    footing = '{} {}: {}, among them {} and {}'.format(
        process.process_label, str(process.uuid)[:8], *(_counted(count, noun) for noun, count in counts.items())
    )
    return draw(list(items.values()), edges, heading or title_of(str(process.process_label)), footing)


def described(key: str, kind: str, nodes: Sequence[Any]) -> Item:
    """Return the item of nodes of one kind; a sentence in it if one of them is damaged.

    :param key: key of the item.
    :param kind: kind of the nodes, of `KINDS`.
    :param nodes: the nodes.
    """
    try:
        return describe(key, kind, nodes)
    except Exception as error:
        return Item(key, NAMES[kind], [cause(error)], kind)


def title_of(label: str) -> str:
    """Return a call link label as a title, for example ``Initial data``."""
    head = _head(label)
    words = label.removesuffix('WorkChain').replace('_', ' ').strip()
    return TITLES[head] + words[len(head) :] if head in TITLES else words[:1].upper() + words[1:]


def _group(process: orm.ProcessNode, tree: list[Call], phases: Sequence[PhaseTime]) -> list[list[PhaseTime]]:
    """Return the phases, with those of one kind and the same sources together if there are at least `MANY`.

    Such phases do not depend on each other, so that no cycle arises.
    """
    flow = _Flow(process, tree, {phase.pk: phase.phase for phase in phases})
    alike: dict[tuple[Any, ...], list[PhaseTime]] = {}
    for phase in phases:
        kind = (phase.name, _head(phase.phase), frozenset(flow.sources([phase.pk])))
        alike.setdefault(kind, []).append(phase)
    groups = []
    for members in alike.values():
        groups += [members] if len(members) >= MANY else [[phase] for phase in members]
    order = {phase.pk: index for index, phase in enumerate(phases)}
    return sorted(groups, key=lambda members: order[members[0].pk])


def _head(label: str) -> str:
    """Return the words of a call link label before its first number."""
    return re.split(r'_?\d', label)[0]


def _phase(members: Sequence[PhaseTime], caption: Sequence[str]) -> Item:
    """Return the item of a phase, or of several of one kind."""
    first = members[0]
    failed = [phase for phase in members if phase.exit_status not in (0, None)]
    parts = [clock(sum(phase.wall_s for phase in members)), _counted(sum(phase.jobs for phase in members), 'job')]
    title = title_of(first.phase)
    if len(members) > 1:
        title = f'{title_of(_head(first.phase))}, {len(members)} runs'
        parts += [f'{len(failed)} failed'] if failed else []
    elif failed:
        parts.append(f'exit code {first.exit_status}')
    return Item(first.phase, title, [' · '.join(parts), *caption], 'failed' if failed else 'phase')


def _counted(count: int, noun: str) -> str:
    plural = 'es' if noun.endswith('s') else 's'
    return f'{count} {noun}{"" if count == 1 else plural}'


class _Flow:
    """The key nodes that are passed between phases."""

    def __init__(self, process: orm.ProcessNode, tree: list[Call], phases: Mapping[int, str]):
        self._outputs = {pk: list(outputs(orm.load_node(pk))) for pk in phases}
        self._process = process
        self._functions = {call.pk for call in tree if call.depth == 1} - set(phases)
        self._maker: dict[int, str] = {}
        for pk, name in phases.items():
            inside = {pk, *(call.pk for call in below(tree, pk))}
            for _, data in self._outputs[pk]:
                if data.creator is not None and data.creator.pk in inside:
                    self._maker[data.pk] = name

    def sources(self, phases: Sequence[int]) -> dict[tuple[str, str], list[orm.Data]]:
        """Return the key nodes that ``phases`` use, by creating phase and kind."""
        found: dict[tuple[str, str], dict[int, orm.Data]] = {}
        for phase in phases:
            for _, data in inputs(orm.load_node(phase)):
                for maker, source in self._resolve(data):
                    found.setdefault((maker, KINDS[source.node_type]), {})[source.pk] = source
        return {key: list(nodes.values()) for key, nodes in found.items()}

    def _resolve(self, data: orm.Data) -> list[tuple[str, orm.Data]]:
        """Trace a node through functions between phases, such as unions and splits, to their inputs."""
        found: list[tuple[str, orm.Data]] = []
        waiting, seen = [data], {data.pk}
        while waiting:
            node = waiting.pop()
            if node.node_type not in KINDS:
                continue
            if node.pk in self._maker:
                found.append((self._maker[node.pk], node))
                continue
            creator = node.creator
            if creator is None or creator.pk not in self._functions:
                found.append((GIVEN, node))
                continue
            given = [each for _, each in inputs(creator) if each.pk not in seen]
            seen |= {each.pk for each in given}
            waiting += reversed(given)
        return found

    def final(self, phases: Sequence[int]) -> dict[str, list[orm.Data]]:
        """Return the potentials of ``phases`` that are outputs of the whole process."""
        leaving = {data.pk for _, data in outputs(self._process)}
        found: dict[str, dict[int, orm.Data]] = {}
        for _, data in (pair for phase in phases for pair in self._outputs[phase]):
            if data.pk in leaving and data.pk in self._maker and KINDS.get(data.node_type) == 'potential':
                found.setdefault('potential', {})[data.pk] = data
        return {kind: list(nodes.values()) for kind, nodes in found.items()}


def describe(key: str, kind: str, nodes: Sequence[orm.Data]) -> Item:
    """Return the item that represents nodes of one kind.

    :param key: key of the item.
    :param kind: `structure`, `frames` or `potential`.
    :param nodes: the nodes.
    """
    lines = {'structure': _structures, 'frames': _frames, 'potential': _potentials}[kind](nodes)
    # The checkpoint, the frozen and the compressed file of one training count as one potential.
    count = max(Counter(node.base.attributes.get('form', '') for node in nodes).values())
    plural = count > 1 and kind != 'frames'
    return Item(key, f'{count} {NAMES[kind].lower()}s' if plural else NAMES[kind], lines, kind)


def pretty(formula: str) -> str:
    """Return a formula with the elements in the order of their electronegativity, without parentheses.

    >>> pretty('Cl4Li24P4S20'), pretty('Ge2Li20P4S24')
    ('Li6PS5Cl', 'Li10GeP2S12')
    """
    amounts = Composition(formula).reduced_composition
    ordered = sorted(amounts.elements, key=lambda element: element.X)
    counts = ('' if amounts[element] == 1 else f'{amounts[element]:g}' for element in ordered)
    return ''.join(f'{element.symbol}{count}' for element, count in zip(ordered, counts, strict=True))


def _listed(names: Sequence[str], most: int = 3) -> str:
    unique = sorted(set(names))
    return ', '.join(unique[:most]) + (f' and {len(unique) - most} more' if len(unique) > most else '')


def _structures(nodes: Sequence[Any]) -> list[str]:
    formulas = _listed([pretty(node.get_formula()) for node in nodes])
    atoms = sorted({len(node.sites) for node in nodes})
    return [formulas, f'{" and ".join(str(number) for number in atoms[:3])} atoms']


def _frames(nodes: Sequence[Any]) -> list[str]:
    formulas = [pretty(formula) for node in nodes for formula in node.base.attributes.get('formulas')]
    labelled = all('force' in node.base.attributes.get('labels') for node in nodes)
    count = sum(node.base.attributes.get('frames') for node in nodes)
    return [f'{count} {"labelled" if labelled else "unlabelled"}', _listed(formulas)]


def _potentials(nodes: Sequence[Any]) -> list[str]:
    attributes = [node.base.attributes.all for node in nodes]
    kinds = _listed([str(a.get('descriptor') or 'potential') for a in attributes])
    forms = [form for form in ('checkpoint', 'frozen', 'compressed') if any(a.get('form') == form for a in attributes)]
    sizes = [a['parameters'] for a in attributes if a.get('parameters')]
    lines = [f'{kinds}, {_listed([str(a.get("backend")) for a in attributes])}']
    if sizes:
        lines.append(f'{max(sizes):,} parameters'.replace(',', ' '))
    return [*lines, ' and '.join(forms)] if forms else lines
