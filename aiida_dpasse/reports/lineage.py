"""The lineage of a frame, traced along the graph by the content of the frame, not by stored node identifiers.

Node identifiers are not preserved by caching and in archives. The id of a frame is a hash of its symbols, cell and
positions, which unions, splits, selections and label jobs leave unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from aiida import orm
from aiida.engine.processes.ports import PORT_NAMESPACE_SEPARATOR

from aiida_dpasse.data.frames import FramesData, Record
from aiida_dpasse.reports.graph import data_ancestors, inputs, name_of, outputs

T = TypeVar('T')
#: Identities of frames.
ID = re.compile('[0-9a-f]{16}', re.ASCII)
LABEL, MD, TRAIN = 'dpasse.label', 'dpasse.md', 'dpasse.train'
#: Number of frames that were displaced one from the other which a lineage follows: studies have two.
GENERATIONS = 32


def linked(nodes: Mapping[str, T], name: str) -> T | None:
    """Return the input with the link label ``name``, or with that name inside a namespace, or None.

    :param nodes: nodes by link label.
    :param name: link label.

    >>> linked({'md_003': 1, 'samples__md_0003': 2}, 'md_003'), linked({'answers__frame_a': 3}, 'frame_a')
    (1, 3)
    """
    within = (node for link, node in nodes.items() if link.rpartition(PORT_NAMESPACE_SEPARATOR)[2] == name)
    return nodes[name] if name in nodes else next(within, None)


class Records(dict[str, Record | None]):
    """What a node stores for its frames, by their ids; None for a frame that it does not hold.

    :param frames: the node.
    :param every: read all frames at once, for nodes most frames of which are asked for.
    """

    def __init__(self, frames: FramesData, every: bool) -> None:
        super().__init__()
        self._frames = None if every else frames
        if every:
            # These are compared with the atoms.
            ids = iter(frames.ids())
            for entry, origin in zip(frames.entries(), frames.origins(), strict=True):
                columns = (origin[name].tolist() for name in ('source', 'step', 'reason'))
                rows = zip(*columns, strict=True)
                self.update({next(ids): Record(source, step, why, entry) for source, step, why in rows})

    def __missing__(self, frame_id: str) -> Record | None:
        if self._frames is None:
            return None
        self[frame_id] = found = self._frames.find(frame_id) if ID.fullmatch(frame_id) else None
        return found


class Maker(NamedTuple):
    """A process that created frames.

    :param pk: pk of the process.
    :param name: its entry point.
    :param given: input frames by link label.
    :param jobs: pk and entry point of the jobs whose outputs it read, by link label.
    :param ids: ids of these jobs by the frame or formula that they belong to.
    """

    pk: int
    name: str
    given: dict[str, FramesData]
    jobs: dict[str, tuple[int, str]]
    ids: dict[str, str]

    def job(self, frame_id: str, record: Record) -> tuple[int, str] | None:
        """Return the job that created or labelled a frame, or None.

        It is the process itself or a job whose output it read, identified by the id, the source or the formula of the
        frame, or as the only one.

        :param frame_id: id of the frame.
        :param record: metadata of the frame.
        """
        if self.name in (MD, LABEL):
            return self.pk, self.name
        named = (f'frame_{frame_id}', record.source, f'frames_{record.entry.formula}')
        links = (self.ids.get(name, name) for name in named)
        found = [job for name in links if (job := linked(self.jobs, name)) is not None]
        return next(iter(found or (self.jobs.values() if len(self.jobs) == 1 else ())), None)


@dataclass(frozen=True)
class FrameOrigin:
    """The lineage of one frame, from the requested node back to the process that created it. Processes are given by pk.

    :param frame_id: id of the frame.
    :param label_job: job that computed the labels.
    :param selected_by: process that selected the frame.
    :param source: input link of ``selected_by`` that contained the frame.
    :param made_by: process whose output, but none of whose inputs, contains the frame, or the job whose output it read.
    :param made_by_name: entry point of ``made_by``.
    :param by_job: whether ``made_by`` is a job.
    :param step: molecular dynamics step, -1 for frames without steps.
    :param path: processes passed on the way back.
    :param parent: frame that this one was displaced from, if ``made_by`` displaced frames.
    """

    frame_id: str
    label_job: int | None = None
    selected_by: int | None = None
    source: str = ''
    made_by: int | None = None
    made_by_name: str = ''
    by_job: bool = False
    step: int = -1
    path: tuple[int, ...] = ()
    parent: FrameOrigin | None = None

    @property
    def md(self) -> tuple[int, int] | None:
        """Job and step of the molecular dynamics of the frame, or of the frame that it was displaced from."""
        if self.by_job and self.made_by is not None and self.step >= 0:
            return self.made_by, self.step
        return None if self.parent is None else self.parent.md


class TrainingFrame(NamedTuple):
    """A frame that the training ``training`` (pk) read from the input ``role``, and its lineage."""

    training: int
    role: str
    origin: FrameOrigin


class Tracer:
    """Traces frames back along the graph and reads each node once.

    :param every: whether most frames of the nodes are traced.
    """

    def __init__(self, every: bool = True) -> None:
        self._every = every
        self._records: dict[int, Records] = {}
        self._makers: dict[int, Maker | None] = {}

    def maker(self, frames: FramesData) -> Maker | None:
        """Return the process that created ``frames``, or None for imported frames."""
        if frames.pk not in self._makers:
            self._makers[frames.pk] = _maker(frames)
        return self._makers[frames.pk]

    def records(self, frames: FramesData) -> Records:
        """Return the metadata that ``frames`` stores for each frame, by frame id."""
        if frames.pk not in self._records:
            self._records[frames.pk] = Records(frames, self._every)
        return self._records[frames.pk]

    def trace(self, frames: FramesData, frame_id: str, generation: int = 0) -> FrameOrigin:
        """Return the lineage of one frame.

        :param frames: node that contains the frame.
        :param frame_id: id of the frame.
        :param generation: how many frames were displaced from this one; the lineage ends after `GENERATIONS`.
        :raises ValueError: if ``frames`` does not contain the frame.
        """
        if (record := self.records(frames)[frame_id]) is None:
            raise ValueError(f'The frame {frame_id} is not in FramesData<{frames.pk}>: take one of its `ids()`.')
        origin = FrameOrigin(frame_id)
        node: FramesData | None = frames
        # In an imported archive, data may be made from each other in a circle.
        passed: set[int] = set()
        while node is not None and node.pk not in passed and (maker := self.maker(node)) is not None:
            passed.add(node.pk)
            read = ((label, data, self.records(data)[frame_id]) for label, data in maker.given.items())
            holders = {label: (data, found) for label, data, found in read if found is not None}
            origin = replace(origin, path=(*origin.path, maker.pk))
            job = maker.job(frame_id, record)
            had_labels = maker.name != LABEL and any(found.labelled for _, found in holders.values())
            if job and job[1] != MD and record.labelled and not had_labels and origin.label_job is None:
                origin = replace(origin, label_job=job[0])
            chosen = linked(holders, record.source)
            # The process that selected the frame set its source; later processes left it unchanged.
            if chosen is not None and chosen[1].source != record.source:
                origin = replace(origin, selected_by=maker.pk, source=record.source)
            if not holders:
                parent = None if job else self._parent(maker.given, record, generation)
                pk, name = job or (maker.pk, maker.name)
                origin = replace(origin, made_by=pk, made_by_name=name, by_job=job is not None)
                return replace(origin, step=record.step, parent=parent)
            node, record = next(iter(holders.values())) if chosen is None else chosen
        return origin

    def _parent(self, given: dict[str, FramesData], record: Record, generation: int) -> FrameOrigin | None:
        """Trace the frame that a frame was displaced from, whose id is part of the reason."""
        if generation == GENERATIONS:
            return None
        for node in given.values():
            named = [word for word in record.reason.split() if self.records(node)[word] is not None]
            if named:
                return self.trace(node, named[0], generation + 1)
        return None


def _maker(frames: FramesData) -> Maker | None:
    """Return the process that created ``frames``, with two queries whatever the number of its inputs."""
    columns = ['id', 'node_type', 'process_type', 'attributes.process_label']
    query = orm.QueryBuilder().append(orm.Data, filters={'id': frames.pk}, tag='made')
    query.append(orm.CalculationNode, with_outgoing='made', project=columns, tag='process')
    query.append(orm.Data, with_outgoing='process', project='*', edge_project='label')
    rows = query.all()
    if rows:
        pk, node_type, *names = rows[0][:4]
    elif (creator := frames.creator) is not None:
        pk, node_type, *names = creator.pk, creator.node_type, creator.process_type, creator.process_label
    else:
        return None
    nodes = {label: data for *_, data, label in sorted(rows, key=lambda row: row[-1])}
    given = {label: data for label, data in nodes.items() if isinstance(data, FramesData)}
    jobs, runs = {}, nodes.get('runs')
    if not node_type.endswith('CalcJobNode.'):
        query = orm.QueryBuilder().append(orm.CalculationNode, filters={'id': pk}, tag='process')
        query.append(orm.Data, with_outgoing='process', edge_project='label', tag='given')
        query.append(orm.CalcJobNode, with_outgoing='given', project=columns)
        answers = sorted(query.all(), key=lambda row: row[-1])
        jobs = {label: (job, name_of(*described)) for job, *described, label in answers if label not in given}
    name = name_of(node_type, *names)
    return Maker(pk, name, given, jobs, _ids(runs) if isinstance(runs, orm.Dict) else {})


def _ids(runs: orm.Dict) -> dict[str, str]:
    """Return the id of each job whose output a calcfunction read, by the frame or formula that it belongs to."""
    return {
        f'{word}_{record["data"]}': key
        for key, record in runs.get_dict().items()
        for word in ('frame', 'frames')
        if isinstance(record, dict) and 'data' in record
    }


def trace_frame(frames: FramesData, frame_id: str) -> FrameOrigin:
    """Return the lineage of one frame.

    :param frames: node that contains the frame.
    :param frame_id: id of the frame.
    :raises ValueError: if ``frames`` does not contain the frame.
    """
    return Tracer(every=False).trace(frames, frame_id)


def trace_frames(frames: FramesData) -> list[FrameOrigin]:
    """Return the lineage of every frame of a node, in their order; the graph is read only once.

    :param frames: node with the frames.
    """
    tracer = Tracer()
    return [tracer.trace(frames, str(frame_id)) for frame_id in frames.ids()]


def trainings(node: orm.Node) -> list[orm.CalcJobNode]:
    """Return every training that a result depends on, oldest first.

    :param node: data node, or a process, whose outputs are considered.
    """
    starts = {data.pk for _, data in outputs(node)} if isinstance(node, orm.ProcessNode) else {node.pk}
    query = orm.QueryBuilder()
    query.append(
        orm.CalcJobNode,
        filters={'id': {'in': list(data_ancestors(starts))}, 'process_type': {'like': f'%:{TRAIN}'}},
    )
    return sorted(query.all(flat=True), key=lambda job: (job.ctime, job.uuid))


def trace_dataset(node: orm.Node) -> Iterator[TrainingFrame]:
    """Yield every training frame that a result depends on, with its label job and molecular dynamics step.

    :param node: a result, such as an activation energy or a potential, or the process that created it.
    """
    tracer = Tracer()
    for training in trainings(node):
        for role, frames in inputs(training, FramesData):
            for frame_id in tracer.records(frames):
                yield TrainingFrame(training.pk, role, tracer.trace(frames, frame_id))
