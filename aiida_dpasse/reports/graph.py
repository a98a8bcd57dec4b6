"""Queries of a workflow's graph that project columns only: fast, and correct while a daemon writes to the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from aiida import orm
from aiida.common.links import LinkType
from aiida.tools.graph.graph_traversers import traverse_graph

from aiida_dpasse import quoting
from aiida_dpasse.renamed import ENTRY_POINTS, LINKS

CALLS = (LinkType.CALL_CALC.value, LinkType.CALL_WORK.value)
DATA = (LinkType.CREATE, LinkType.INPUT_CALC)
FINISHED, EXCEPTED, KILLED = 'finished', 'excepted', 'killed'
TERMINATED = (FINISHED, EXCEPTED, KILLED)
#: Number of levels and of processes of a tree: a study has six levels and some thousand processes; an imported archive
#: may have any number, and calls in a circle.
DEEPEST, MOST_CALLS = 32, 100_000
#: Number of characters that are kept of a name and of a message.
LONGEST_NAME, LONGEST_MESSAGE = 200, 20_000

_COLUMNS = (
    'id',
    'uuid',
    'node_type',
    'process_type',
    'ctime',
    'mtime',
    'attributes.process_label',
    'attributes.process_state',
    'attributes.exit_status',
    'attributes.exit_message',
)


@dataclass(frozen=True)
class Call:
    """One process of a workflow, with the current values of its columns; its texts are quoted, the message in lines."""

    pk: int
    uuid: str
    node_type: str
    process_type: str
    ctime: datetime
    mtime: datetime
    name: str
    state: str
    exit_status: int | None
    exit_message: str | None
    parent: int | None
    label: str
    depth: int

    @property
    def entry_point(self) -> str:
        """Name without the group, for example ``dpasse.label``; the function name for a calcfunction."""
        return name_of(self.node_type, self.process_type, self.name)

    @property
    def is_job(self) -> bool:
        """Whether it is a calculation job, run by a scheduler."""
        return self.node_type.endswith('CalcJobNode.')

    @property
    def terminated(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self.state in TERMINATED

    @property
    def ok(self) -> bool:
        """Whether it has finished with exit status 0."""
        return self.state == FINISHED and self.exit_status == 0

    def seconds(self, now: datetime | None = None) -> float:
        """Return the wall time in s, up to ``now`` if it is still running."""
        end = self.mtime if self.terminated or now is None else now
        return max((end - self.ctime).total_seconds(), 0.0)


def _call(row: list, parent: int | None, label: str, depth: int) -> Call:
    pk, uuid, node_type, process_type, ctime, mtime, name, state, exit_status, exit_message = row
    return Call(
        pk=pk,
        uuid=quoting.line(uuid),
        node_type=node_type,
        process_type=process_type or '',
        ctime=ctime,
        mtime=mtime,
        # The attributes of an imported node are those of its archive, of any type.
        name=quoting.line(str(name or '')[:LONGEST_NAME]),
        state=quoting.line(str(state or 'created')[:LONGEST_NAME]),
        exit_status=exit_status if exit_status is None or isinstance(exit_status, int) else -1,
        exit_message=None if exit_message is None else quoting.lines(str(exit_message)[:LONGEST_MESSAGE]),
        parent=parent,
        label=quoting.line(LINKS.get(label, label)),
        depth=depth,
    )


def call_tree(pk: int) -> list[Call]:
    """Return a process and all its direct and indirect children, by depth and then by creation time.

    Each process occurs once, below its first caller. Levels below `DEEPEST`, and processes beyond `MOST_CALLS`, are
    left out; :func:`cut_short` says so.

    :param pk: pk of the process.
    """
    query = orm.QueryBuilder().append(orm.ProcessNode, filters={'id': pk}, project=_COLUMNS)
    found = [_call(row, None, '', 0) for row in query.all(flat=False)]
    level = [call.pk for call in found]
    seen = set(level)
    for depth in range(1, DEEPEST + 1):
        if not level or len(found) >= MOST_CALLS:
            break
        query = orm.QueryBuilder()
        query.append(orm.ProcessNode, filters={'id': {'in': level}}, tag='caller', project='id')
        query.append(
            orm.ProcessNode,
            with_incoming='caller',
            edge_filters={'type': {'in': CALLS}},
            project=_COLUMNS,
            edge_project=['label'],
        )
        # Sorted by time, since importing an archive assigns new pks.
        rows = sorted(query.all(), key=lambda row: (row[5], row[2]))
        level = []
        for row in rows:
            if row[1] not in seen:
                seen.add(row[1])
                level.append(row[1])
                found.append(_call(row[1:11], row[0], row[11], depth))
    return found[:MOST_CALLS]


def cut_short(tree: list[Call]) -> list[str]:
    """Return a sentence if a tree may lack processes, since it has too many or they are too deep.

    :param tree: processes, of :func:`call_tree`.
    """
    if tree and (tree[-1].depth == DEEPEST or len(tree) == MOST_CALLS):
        return [f'Only {len(tree)} processes are shown, on {tree[-1].depth} levels of calls: no study has more.']
    return []


def by_child(tree: list[Call]) -> list[tuple[Call, list[Call]]]:
    """Return each direct child of the first process with all processes that it called, itself first.

    :param tree: processes, of :func:`call_tree`.
    """
    branches: dict[int, list[Call]] = {}
    branch_of: dict[int, int] = {}
    for call in tree[1:]:  # parents precede their children
        branch = branch_of.get(call.parent, call.pk) if call.parent is not None else call.pk
        branch_of[call.pk] = branch
        branches.setdefault(branch, []).append(call)
    return [(calls[0], calls) for calls in branches.values()]


def children(tree: list[Call], pk: int) -> list[Call]:
    """Return the direct children of a process.

    :param tree: processes, of :func:`call_tree`.
    :param pk: pk of the process.
    """
    return [call for call in tree if call.parent == pk]


def last_child(tree: list[Call], label: str) -> orm.ProcessNode | None:
    """Return the direct child of a process with a call link label, the last one if there are several, or None.

    :param tree: processes, of :func:`call_tree`; the first one is the caller.
    :param label: call link label.
    """
    found = [call.pk for call in children(tree, tree[0].pk) if call.label == label]
    return orm.load_node(found[-1]) if found else None


def below(tree: list[Call], pk: int) -> list[Call]:
    """Return all direct and indirect children of a process.

    :param tree: processes, of :func:`call_tree`.
    :param pk: pk of the process.
    """
    pks = {pk}
    found = []
    for call in tree:  # parents precede their children
        if call.parent in pks:
            pks.add(call.pk)
            found.append(call)
    return found


def data_ancestors(pks: set[int]) -> set[int]:
    """Return the pks of all ancestors of nodes along data links, including the nodes themselves.

    :param pks: pks of the nodes.
    """
    return set(traverse_graph(pks, links_backward=DATA)['nodes'])


def inputs(node: orm.ProcessNode, cls: type[orm.Data] = orm.Data) -> Iterator[tuple[str, orm.Data]]:
    """Yield label and node of the inputs of a process, sorted by label.

    :param node: the process.
    :param cls: type of the nodes.
    """
    links = node.base.links.get_incoming(node_class=cls, link_type=(LinkType.INPUT_CALC, LinkType.INPUT_WORK))
    yield from sorted(((link.link_label, link.node) for link in links), key=lambda pair: pair[0])


def outputs(node: orm.ProcessNode, cls: type[orm.Data] = orm.Data) -> Iterator[tuple[str, orm.Data]]:
    """Yield label and node of the outputs of a process, sorted by label.

    :param node: the process.
    :param cls: type of the nodes.
    """
    links = node.base.links.get_outgoing(node_class=cls, link_type=(LinkType.CREATE, LinkType.RETURN))
    yield from sorted(((link.link_label, link.node) for link in links), key=lambda pair: pair[0])


def output(node: orm.ProcessNode | None, label: str) -> orm.Data | None:
    """Return an output of a process, or None.

    :param node: the process, or None.
    :param label: label of the output, with namespaces joined by two underscores.
    """
    return None if node is None else next((data for name, data in outputs(node) if name == label), None)


def output_dict(node: orm.ProcessNode | None, label: str) -> dict:
    """Return the content of a `Dict` output of a process, empty if it does not exist.

    :param node: the process, or None.
    :param label: label of the output, with namespaces joined by two underscores.
    """
    data = output(node, label)
    return data.get_dict() if isinstance(data, orm.Dict) else {}


def entry_point(node: orm.ProcessNode) -> str:
    """Return the name of the entry point of a process, or the name of a calcfunction.

    :param node: the process.
    :return: a name such as ``dpasse.label``.
    """
    return name_of(node.node_type, node.process_type, node.process_label)


def name_of(node_type: str, process_type: str | None, process_label: object) -> str:
    """Return the name of the entry point of a process, or the name of a calcfunction.

    :param node_type: column of the process.
    :param process_type: column of the process.
    :param process_label: attribute of the process.
    """
    if node_type.endswith('FunctionNode.'):
        return quoting.line(process_label)
    name = str(process_type or '').rpartition(':')[2]
    return ENTRY_POINTS.get(name, name)
