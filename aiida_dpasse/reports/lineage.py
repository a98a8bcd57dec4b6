"""The lineage of a frame, traced along the graph by the content of the frame, not by stored node identifiers.

Node identifiers are not preserved by caching and in archives. The id of a frame is a hash of its symbols, cell and
positions, which unions, splits, selections and label jobs leave unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from aiida import orm
from aiida.engine.processes.ports import PORT_NAMESPACE_SEPARATOR

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.reports.graph import data_ancestors, entry_point, inputs, outputs

T = TypeVar('T')
LABEL, MD, TRAIN = 'dpasse.label', 'dpasse.md', 'dpasse.train'
#: Number of frames that were displaced one from the other which a lineage follows: studies have two.
GENERATIONS = 32


class Record(NamedTuple):
    """The metadata that a node stores for one of its frames."""

    source: str
    step: int
    reason: str
    labelled: bool
    formula: str


def linked(nodes: Mapping[str, T], name: str) -> T | None:
    """Return the input with the link label ``name``, or with that name inside a namespace, or None.

    :param nodes: nodes by link label.
    :param name: link label.

    >>> linked({'md_003': 1, 'samples__md_0003': 2}, 'md_003'), linked({'answers__frame_a': 3}, 'frame_a')
    (1, 3)
    """
    within = (node for link, node in nodes.items() if link.rpartition(PORT_NAMESPACE_SEPARATOR)[2] == name)
    return nodes[name] if name in nodes else next(within, None)


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
        named = (f'frame_{frame_id}', record.source, f'frames_{record.formula}')
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
    """Traces frames back along the graph and reads each node once."""

    def __init__(self) -> None:
        self._records: dict[int, dict[str, Record]] = {}
        self._makers: dict[int, Maker | None] = {}

    def maker(self, frames: FramesData) -> Maker | None:
        """Return the process that created ``frames``, or None for imported frames."""
        if frames.pk not in self._makers:
            creator = frames.creator
            given = dict(inputs(creator, FramesData)) if creator else {}
            made = creator and Maker(creator.pk, entry_point(creator), given, _jobs(creator), _ids(creator))
            self._makers[frames.pk] = made
        return self._makers[frames.pk]

    def records(self, frames: FramesData) -> dict[str, Record]:
        """Return the metadata that ``frames`` stores for each frame, by frame id."""
        if frames.pk not in self._records:
            self._records[frames.pk] = {
                str(identity): Record(str(source), int(step), str(reason), item.labelled, item.formula)
                for item in frames.sets()
                for identity, source, step, reason in zip(item.ids, item.sources, item.steps, item.reasons, strict=True)
            }
        return self._records[frames.pk]

    def trace(self, frames: FramesData, frame_id: str, generation: int = 0) -> FrameOrigin:
        """Return the lineage of one frame.

        :param frames: node that contains the frame.
        :param frame_id: id of the frame.
        :param generation: how many frames were displaced from this one; the lineage ends after `GENERATIONS`.
        :raises ValueError: if ``frames`` does not contain the frame.
        """
        if frame_id not in self.records(frames):
            raise ValueError(f'The frame {frame_id} is not in FramesData<{frames.pk}>: take one of its `ids()`.')
        origin = FrameOrigin(frame_id)
        node: FramesData | None = frames
        # In an imported archive, data may be made from each other in a circle.
        passed: set[int] = set()
        while node is not None and node.pk not in passed and (maker := self.maker(node)) is not None:
            passed.add(node.pk)
            record = self.records(node)[frame_id]
            holders = {label: data for label, data in maker.given.items() if frame_id in self.records(data)}
            origin = replace(origin, path=(*origin.path, maker.pk))
            job = maker.job(frame_id, record)
            had_labels = maker.name != LABEL and any(self.records(data)[frame_id].labelled for data in holders.values())
            if job and job[1] != MD and record.labelled and not had_labels and origin.label_job is None:
                origin = replace(origin, label_job=job[0])
            chosen = linked(holders, record.source)
            # The process that selected the frame set its source; later processes left it unchanged.
            if chosen is not None and self.records(chosen)[frame_id].source != record.source:
                origin = replace(origin, selected_by=maker.pk, source=record.source)
            if not holders:
                parent = None if job else self._parent(maker.given, record, generation)
                pk, name = job or (maker.pk, maker.name)
                origin = replace(origin, made_by=pk, made_by_name=name, by_job=job is not None)
                return replace(origin, step=record.step, parent=parent)
            node = next(iter(holders.values())) if chosen is None else chosen
        return origin

    def _parent(self, given: dict[str, FramesData], record: Record, generation: int) -> FrameOrigin | None:
        """Trace the frame that a frame was displaced from, whose id is part of the reason."""
        if generation == GENERATIONS:
            return None
        for node in given.values():
            named = [word for word in record.reason.split() if word in self.records(node)]
            if named:
                return self.trace(node, named[0], generation + 1)
        return None


def _jobs(process: orm.ProcessNode) -> dict[str, tuple[int, str]]:
    """Return the jobs whose outputs a calcfunction read, by link label."""
    if isinstance(process, orm.CalcJobNode):
        return {}
    answers = [(label, data.creator) for label, data in inputs(process, orm.Data) if not isinstance(data, FramesData)]
    return {label: (job.pk, entry_point(job)) for label, job in answers if isinstance(job, orm.CalcJobNode)}


def _ids(process: orm.ProcessNode) -> dict[str, str]:
    """Return the id of each job whose output a calcfunction read, by the frame or formula that it belongs to."""
    runs = dict(inputs(process, orm.Dict)).get('runs')
    records = {} if runs is None else runs.get_dict()
    return {
        f'{word}_{record["data"]}': key
        for key, record in records.items()
        for word in ('frame', 'frames')
        if isinstance(record, dict) and 'data' in record
    }


def trace_frame(frames: FramesData, frame_id: str) -> FrameOrigin:
    """Return the lineage of one frame.

    :param frames: node that contains the frame.
    :param frame_id: id of the frame.
    :raises ValueError: if ``frames`` does not contain the frame.
    """
    return Tracer().trace(frames, frame_id)


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
