"""Records of the children of a work chain, from which link labels are generated and never parsed back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Run:
    """Record of one child of a work chain: its kind, its number, its conditions and its inputs.

    :param what: kind of child, such as ``md`` or ``train``; also the first word of the link label.
    :param number: number among the children in one plan; together with ``what``, ``segment`` and ``iteration`` it
        defines the ``id``.
    :param structure: label of the structure, as given by the user.
    :param potential: label of the potential or calculator.
    :param data: name of the set of frames.
    :param model: name of the model that is trained.
    :param temperature: temperature in K.
    :param pressure: pressure in GPa.
    :param size: the varied size: name or number of a supercell, or a number of frames or steps.
    :param replica: number of the repetition.
    :param iteration: number of the iteration or round of a loop.
    :param segment: number of the segment of a continued run, 0 for the first.
    """

    what: str
    number: int = 0
    structure: str | None = None
    potential: str | None = None
    data: str | None = None
    model: str | None = None
    temperature: float | None = None
    pressure: float | None = None
    size: str | int | None = None
    replica: int | None = None
    iteration: int | None = None
    segment: int | None = None

    @property
    def id(self) -> str:
        """Unique name of the run, used as a key of namespaces and mappings and not meant to be parsed.

        >>> Run('md', 3, structure='a_large', temperature=600.0).id, Run('md', 3, segment=1).id
        ('md_0003', 'md_0003_s01')
        """
        iteration = '' if self.iteration is None else f'_i{self.iteration:03d}'
        segment = '' if self.segment is None else f'_s{self.segment:02d}'
        return f'{self.what}_{self.number:04d}{iteration}{segment}'

    @property
    def label(self) -> str:
        """Readable link label: the id followed by the conditions and inputs of the run.

        >>> Run('md', 3, structure='a_large', temperature=600.0, replica=1).label
        'md_0003_a_large_600K_r1'
        """
        words = [self.id]
        words += [value for value in (self.structure, self.model, self.potential, self.data) if value is not None]
        words += [] if self.temperature is None else [f'{self.temperature:g}K']
        words += [] if self.pressure is None else [f'{self.pressure:g}GPa']
        words += [] if self.size is None else [f'n{self.size}']
        words += [] if self.replica is None else [f'r{self.replica}']
        # AiiDA allows only letters, digits and single underscores.
        return re.sub(r'[^A-Za-z0-9]+', '_', '_'.join(words)).strip('_')

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set, to be stored in a node or context."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def follow(self, what: str, **changes: Any) -> Run:
        """Return the record of another child of the same run, for example the analysis of molecular dynamics.

        :param what: kind of the other child.
        :param changes: fields that differ.
        """
        return replace(self, what=what, **changes)

    def matches(self, **fields: Any) -> bool:
        """Whether all ``fields`` have the given values.

        >>> Run('md', 1, structure='a').matches(what='md', structure='a'), Run('md', 1).matches(structure='a')
        (True, False)
        """
        return all(getattr(self, name) == value for name, value in fields.items())


class Runs(Mapping[str, Run]):
    """Runs by id, as stored in the node ``runs`` of a plan.

    :param runs: the runs, in order.
    :raises ValueError: if two runs have the same id.
    """

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._runs: dict[str, Run] = {}
        for run in runs:
            if run.id in self._runs:
                raise ValueError(f'Two runs have the id {run.id}: give them different numbers.')
            self._runs[run.id] = run

    @classmethod
    def from_dict(cls, content: Mapping[str, Mapping[str, Any]]) -> Runs:
        """Return the runs stored in a node `runs` or in its content."""
        return cls(Run(**record) for _, record in content.items())

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return the content of a node: the records by id."""
        return {key: run.to_dict() for key, run in self._runs.items()}

    def __getitem__(self, key: str) -> Run:
        return self._runs[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def select(self, **fields: Any) -> list[Run]:
        """Return the runs whose ``fields`` have the given values, in their order."""
        return [run for run in self._runs.values() if run.matches(**fields)]
