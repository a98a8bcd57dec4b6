"""Where a frame comes from: a walk along the graph by the frame's content, never by stored identifiers of nodes.

Identifiers of nodes break under caching and in archives; a frame's id is a hash of its symbols, cell and positions,
which every union, split, selection and label job leaves as it is.
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


class Record(NamedTuple):
    """What a node says of one of its frames."""

    source: str
    step: int
    reason: str
    labelled: bool
    formula: str


def linked(nodes: Mapping[str, T], name: str) -> T | None:
    """Return what came in by the link ``name``, or, where no link is called so, under that name in a namespace.

    >>> linked({'md_003': 1, 'samples__md_0003': 2}, 'md_003'), linked({'answers__frame_a': 3}, 'frame_a')
    (1, 3)
    """
    within = (node for link, node in nodes.items() if link.rpartition(PORT_NAMESPACE_SEPARATOR)[2] == name)
    return nodes[name] if name in nodes else next(within, None)


class Maker(NamedTuple):
    """A process that made frames: its pk, its entry point, the frames it was given by link label, and, if it read what
    other jobs left, those jobs' pk and entry point by link label, with the id of each of these by what it is of."""

    pk: int
    name: str
    given: dict[str, FramesData]
    jobs: dict[str, tuple[int, str]]
    ids: dict[str, str]

    def job(self, frame_id: str, record: Record) -> tuple[int, str] | None:
        """Return the job that made or labelled a frame, itself or one whose answer it read: named by the frame, by
        the frame's source or formula, or the only one."""
        if self.name in (MD, LABEL):
            return self.pk, self.name
        named = (f'frame_{frame_id}', record.source, f'frames_{record.formula}')
        links = (self.ids.get(name, name) for name in named)
        found = [job for name in links if (job := linked(self.jobs, name)) is not None]
        return next(iter(found or (self.jobs.values() if len(self.jobs) == 1 else ())), None)


@dataclass(frozen=True)
class FrameOrigin:
    """The way of one frame, from the node where it was asked for back to the process that made it.

    ``made_by`` is the process whose output holds the frame and whose inputs do not, or the job whose answer it read
    (``by_job``), ``step`` its molecular dynamics step (-1 if none). ``label_job`` gave the labels,
    ``selected_by`` chose it, from the input link ``source``. ``parent`` is the frame it was displaced from, if
    ``made_by`` displaced frames.
    All processes are given by pk.
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
        """Job and step of the molecular or labelling dynamics, of the frame or the one it was displaced from."""
        if self.by_job and self.made_by is not None and self.step >= 0:
            return self.made_by, self.step
        return None if self.parent is None else self.parent.md


class TrainingFrame(NamedTuple):
    """A frame that the training ``training`` (pk) read under the input ``role``, and where it comes from."""

    training: int
    role: str
    origin: FrameOrigin


class Tracer:
    """Walks back from frames, reading each node once."""

    def __init__(self) -> None:
        self._records: dict[int, dict[str, Record]] = {}
        self._makers: dict[int, Maker | None] = {}

    def maker(self, frames: FramesData) -> Maker | None:
        """Return who made ``frames`` and from which frames, None for imported ones."""
        if frames.pk not in self._makers:
            creator = frames.creator
            given = dict(inputs(creator, FramesData)) if creator else {}
            made = creator and Maker(creator.pk, entry_point(creator), given, _jobs(creator), _ids(creator))
            self._makers[frames.pk] = made
        return self._makers[frames.pk]

    def records(self, frames: FramesData) -> dict[str, Record]:
        """Return what ``frames`` says of each frame, by its identity."""
        if frames.pk not in self._records:
            self._records[frames.pk] = {
                str(identity): Record(str(source), int(step), str(reason), item.labelled, item.formula)
                for item in frames.sets()
                for identity, source, step, reason in zip(item.ids, item.sources, item.steps, item.reasons, strict=True)
            }
        return self._records[frames.pk]

    def trace(self, frames: FramesData, frame_id: str) -> FrameOrigin:
        """Return where the frame ``frame_id`` of ``frames`` comes from.

        :raises ValueError: if ``frames`` holds no such frame.
        """
        if frame_id not in self.records(frames):
            raise ValueError(f'The frame {frame_id} is not in FramesData<{frames.pk}>: take one of its `ids()`.')
        origin = FrameOrigin(frame_id)
        node: FramesData | None = frames
        while node is not None and (maker := self.maker(node)) is not None:
            record = self.records(node)[frame_id]
            holders = {label: data for label, data in maker.given.items() if frame_id in self.records(data)}
            origin = replace(origin, path=(*origin.path, maker.pk))
            job = maker.job(frame_id, record)
            had_labels = maker.name != LABEL and any(self.records(data)[frame_id].labelled for data in holders.values())
            if job and job[1] != MD and record.labelled and not had_labels and origin.label_job is None:
                origin = replace(origin, label_job=job[0])
            chosen = linked(holders, record.source)
            # Who chose the frame wrote its source; those that handed it on left the source as it was.
            if chosen is not None and self.records(chosen)[frame_id].source != record.source:
                origin = replace(origin, selected_by=maker.pk, source=record.source)
            if not holders:
                parent = None if job else self._parent(maker.given, record)
                pk, name = job or (maker.pk, maker.name)
                origin = replace(origin, made_by=pk, made_by_name=name, by_job=job is not None)
                return replace(origin, step=record.step, parent=parent)
            node = next(iter(holders.values())) if chosen is None else chosen
        return origin

    def _parent(self, given: dict[str, FramesData], record: Record) -> FrameOrigin | None:
        """Follow a displaced frame to the one it was displaced from, whose identity its reason names."""
        for node in given.values():
            named = [word for word in record.reason.split() if word in self.records(node)]
            if named:
                return self.trace(node, named[0])
        return None


def _jobs(process: orm.ProcessNode) -> dict[str, tuple[int, str]]:
    """The jobs whose answers a calcfunction read, by the link label of the answer."""
    if isinstance(process, orm.CalcJobNode):
        return {}
    answers = [(label, data.creator) for label, data in inputs(process, orm.Data) if not isinstance(data, FramesData)]
    return {label: (job.pk, entry_point(job)) for label, job in answers if isinstance(job, orm.CalcJobNode)}


def _ids(process: orm.ProcessNode) -> dict[str, str]:
    """The id of each job whose answer a calcfunction read, by the frame or the formula of the frames that it is of."""
    runs = dict(inputs(process, orm.Dict)).get('runs')
    records = {} if runs is None else runs.get_dict()
    return {
        f'{word}_{record["data"]}': key
        for key, record in records.items()
        for word in ('frame', 'frames')
        if isinstance(record, dict) and 'data' in record
    }


def trace_frame(frames: FramesData, frame_id: str) -> FrameOrigin:
    """Return where the frame ``frame_id`` of ``frames`` comes from.

    :raises ValueError: if ``frames`` holds no such frame.
    """
    return Tracer().trace(frames, frame_id)


def trace_frames(frames: FramesData) -> list[FrameOrigin]:
    """Return where every frame of ``frames`` comes from, in their order; the graph is read once for all."""
    tracer = Tracer()
    return [tracer.trace(frames, str(frame_id)) for frame_id in frames.ids()]


def trainings(node: orm.Node) -> list[orm.CalcJobNode]:
    """Return every training that ``node``, or an output of it, stems from along data links, oldest first."""
    starts = {data.pk for _, data in outputs(node)} if isinstance(node, orm.ProcessNode) else {node.pk}
    query = orm.QueryBuilder()
    query.append(
        orm.CalcJobNode,
        filters={'id': {'in': list(data_ancestors(starts))}, 'process_type': {'like': f'%:{TRAIN}'}},
    )
    return sorted(query.all(flat=True), key=lambda job: (job.ctime, job.uuid))


def trace_dataset(node: orm.Node) -> Iterator[TrainingFrame]:
    """Yield every labelled frame that ``node`` rests on, with its label job and its molecular dynamics step.

    :param node: a result, such as the activation energy of a conductivity, a potential, or the process that gave it.
    """
    tracer = Tracer()
    for training in trainings(node):
        for role, frames in inputs(training, FramesData):
            for frame_id in tracer.records(frames):
                yield TrainingFrame(training.pk, role, tracer.trace(frames, frame_id))
