"""Diagram of a workflow: its phases and the nodes passed between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from pymatgen.core.composition import Composition

from aiida_dpasse.reports.drawing import Item, draw
from aiida_dpasse.reports.graph import Call, below, call_tree, inputs, outputs
from aiida_dpasse.reports.timing import clock, phase_times

#: Node types that are drawn between phases; settings and tables would obscure the chain.
KINDS = {
    'data.core.structure.StructureData.': 'structure',
    'data.dpasse.frames.FramesData.': 'frames',
    'data.dpasse.potential.DeepPotentialData.': 'potential',
}
NAMES = {'structure': 'Structure', 'frames': 'Frames', 'potential': 'Potential'}
GIVEN = 'given'
TITLES = {
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
    flow = _Flow(process, tree, {phase.pk: phase.phase for phase in phases})
    for phase in phases:
        jobs = f'{phase.jobs} job' + ('s' if phase.jobs != 1 else '')
        lines = [f'{clock(phase.wall_s)} · {jobs}', *(captions or {}).get(phase.phase, ())]
        kind = 'phase' if phase.exit_status in (0, None) else 'failed'
        if kind == 'failed':
            lines.append(f'exit code {phase.exit_status}')
        items[phase.phase] = Item(phase.phase, title_of(phase.phase), lines, kind)
        for (maker, kind), nodes in flow.sources(phase.pk).items():
            # Inputs of the whole workflow are drawn next to each phase that uses them: long edges would obscure the
            # flow.
            key = f'{maker}/{kind}' if maker != GIVEN else f'{maker}/{kind}/{phase.phase}'
            items.setdefault(key, describe(key, kind, nodes))
            edges += [(maker, key)] if maker != GIVEN and (maker, key) not in edges else []
            edges.append((key, phase.phase))
    for phase in phases:
        for kind, nodes in flow.final(phase.pk).items():
            key = f'{phase.phase}/{kind}'
            if key not in items:
                items[key] = describe(key, kind, nodes)
                edges.append((phase.phase, key))
        if results and phase.phase in results:
            title, found = results[phase.phase]
            key = f'{phase.phase}/result'
            items[key] = Item(key, title, list(found), 'result')
            edges.append((phase.phase, key))
    if not items:
        reason = process.exit_message or process.exception or 'It has not begun.'
        items['nothing'] = Item('nothing', 'No program ran', [reason.splitlines()[-1]], 'failed')
    counts = [len(tree), sum(call.is_job for call in tree), sum('FunctionNode' in call.node_type for call in tree)]
    name = f'{process.process_label} {str(process.uuid)[:8]}'
    footing = '{}: {} processes, among them {} jobs and {} functions'.format(name, *counts)
    return draw(list(items.values()), edges, heading or title_of(str(process.process_label)), footing)


def title_of(label: str) -> str:
    """Return a call link label as a title, for example ``Initial data``."""
    if label in TITLES:
        return TITLES[label]
    words = label.removesuffix('WorkChain').replace('_', ' ').strip()
    return words[:1].upper() + words[1:]


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

    def sources(self, phase: int) -> dict[tuple[str, str], list[orm.Data]]:
        """Return the key nodes that ``phase`` uses, by creating phase and kind."""
        found: dict[tuple[str, str], dict[int, orm.Data]] = {}
        for _, data in inputs(orm.load_node(phase)):
            for maker, source in self._resolve(data):
                found.setdefault((maker, KINDS[source.node_type]), {})[source.pk] = source
        return {key: list(nodes.values()) for key, nodes in found.items()}

    def _resolve(self, data: orm.Data) -> list[tuple[str, orm.Data]]:
        """Trace a node through functions between phases, such as unions and splits, to their inputs."""
        if data.node_type not in KINDS:
            return []
        if data.pk in self._maker:
            return [(self._maker[data.pk], data)]
        creator = data.creator
        if creator is not None and creator.pk in self._functions:
            return [pair for _, given in inputs(creator) for pair in self._resolve(given)]
        return [(GIVEN, data)]

    def final(self, phase: int) -> dict[str, list[orm.Data]]:
        """Return the potentials of ``phase`` that are outputs of the whole process."""
        leaving = {data.pk for _, data in outputs(self._process)}
        found: dict[str, dict[int, orm.Data]] = {}
        for _, data in self._outputs[phase]:
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
    """Return a formula in the usual chemical notation.

    >>> pretty('Cl4Li24P4S20')
    'Li6PS5Cl'
    """
    return str(Composition(formula).reduced_formula)


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
