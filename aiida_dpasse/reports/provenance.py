"""The provenance rule: every node that a workflow uses or outputs has a creator or is an input of the workflow."""

from __future__ import annotations

from aiida import orm
from aiida.common.links import LinkType

from aiida_dpasse.label_sources import load_sources
from aiida_dpasse.reports.graph import DEEPEST, call_tree

CONSUMERS = (LinkType.INPUT_CALC.value, LinkType.INPUT_WORK.value)
PRODUCTS = (LinkType.CREATE.value, LinkType.RETURN.value)

#: Types of nodes without a creator that other plugins store for their own processes, by the entry point of the process
#: that uses them: aiida-shell stores the arguments of a command; for label sources, the source states them.
EXEMPT: dict[str, tuple[type[orm.Data], ...]] = {
    'core.shell': (orm.List,),
    **{name: types for source in load_sources().values() for name, types in source.plugin_nodes().items()},
}


def orphans(process: orm.ProcessNode) -> list[orm.Data]:
    """Return the data nodes of a workflow that have no creator and are not inputs of the workflow, sorted by pk.

    Codes and the nodes of `EXEMPT` are not listed. In an imported archive, a creator that was not exported counts as
    missing.

    :param process: the workflow.
    """
    pks = [call.pk for call in call_tree(process.pk)]
    given = set(_linked([process.pk], CONSUMERS, incoming=True))
    used = set(_linked(pks, CONSUMERS, incoming=True)) | set(_linked(pks, PRODUCTS, incoming=False))
    created = set(_created(used))
    lost = [orm.load_node(pk) for pk in sorted(used - given - created)]
    return [node for node in lost if not isinstance(node, orm.AbstractCode) and not _exempt(node)]


def _linked(pks: list[int], links: tuple[str, ...], incoming: bool) -> list[int]:
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': {'in': pks}}, tag='process')
    join = {'with_outgoing': 'process'} if incoming else {'with_incoming': 'process'}
    query.append(orm.Data, edge_filters={'type': {'in': links}}, project='id', **join)
    return [row[0] for row in query.all()]


def _created(pks: set[int]) -> list[int]:
    if not pks:
        return []
    query = orm.QueryBuilder().append(orm.Data, filters={'id': {'in': list(pks)}}, tag='data', project='id')
    query.append(orm.ProcessNode, with_outgoing='data', edge_filters={'type': LinkType.CREATE.value})
    return [row[0] for row in query.all()]


def _exempt(node: orm.Data) -> bool:
    """Whether ``node`` is used only by processes of other plugins, or their children, for which its type is listed."""
    users = node.base.links.get_outgoing(link_type=(LinkType.INPUT_CALC, LinkType.INPUT_WORK)).all_nodes()
    return bool(users) and all(any(isinstance(node, types) for types in _foreign(user)) for user in users)


def _foreign(user: orm.ProcessNode) -> list[tuple[type[orm.Data], ...]]:
    """Return the exempt types of a process and of its callers, each of which is visited once."""
    level, found, seen = [user], [], {user.pk}
    for _ in range(DEEPEST):
        callers: dict[int, orm.ProcessNode] = {}
        for node in level:
            name = str(node.process_type or '').rpartition(':')[2]
            found += [EXEMPT[name]] if name in EXEMPT else []
            links = node.base.links.get_incoming(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK))
            callers |= {link.node.pk: link.node for link in links if link.node.pk not in seen}
        seen |= set(callers)
        level = list(callers.values())
    return found
