"""What all our parsers do alike: they keep the scheduler's exit code, and recognise a full disk."""

from __future__ import annotations

import re
from typing import Any

from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_dpasse.exit_codes import DISK_FULL, STATUSES

#: Statuses that AiiDA reserves for what the scheduler says: out of memory 110, out of walltime 120, node failure 140.
SCHEDULER = range(100, 200)
_FULL = re.compile(r'No space left on device|Disk quota exceeded')
#: Retrieved files in which a program says why it ended, by their suffixes, and how much of their ends is searched.
_LOGS = ('.out', '.txt', '.json', '.log', '.lammps')
_TAIL = 100_000


class JobParser(Parser):
    """Base of our parsers; a subclass reads what the job left."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach what the job left, and say how it ended.

        The scheduler's exit code wins over ours, since it is the cause of what is missing; a full disk, which a job
        that failed names somewhere, wins over the rest.
        """
        code = self.read(**kwargs)
        scheduler = self.scheduler_exit_code()
        if scheduler is not None:
            return scheduler
        if code is not None and code.status and self.disk_full():
            return self.full_disk()
        return code

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach what the job left, and return the exit code that follows from it, None if nothing is missing."""
        raise NotImplementedError

    def scheduler_exit_code(self) -> ExitCode | None:
        """Return the exit code that the scheduler's parser has set, None if it set none."""
        status = self.node.exit_status
        return ExitCode(status, self.node.exit_message) if status in SCHEDULER else None

    @staticmethod
    def full_disk() -> ExitCode:
        """Return the exit code of a job that could not write."""
        return ExitCode(STATUSES['ERROR_DISK_FULL'], DISK_FULL)

    def disk_full(self) -> bool:
        """Whether the job says that it could not write."""
        repository = self.retrieved.base.repository
        return any(
            _FULL.search(repository.get_object_content(name, mode='rb')[-_TAIL:].decode(errors='replace'))
            for name in repository.list_object_names()
            if name.endswith(_LOGS)
        )
