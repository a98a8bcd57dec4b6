"""Base class of the parsers, which keeps the exit code of the scheduler and detects a full disk."""

from __future__ import annotations

import re
from typing import Any

from aiida.engine import ExitCode
from aiida.parsers import Parser

from aiida_dpasse.exit_codes import DISK_FULL, STATUSES

#: Exit statuses that AiiDA reserves for schedulers: out of memory 110, out of walltime 120, node failure 140.
SCHEDULER = range(100, 200)
_FULL = re.compile(r'No space left on device|Disk quota exceeded')
#: Suffixes of the retrieved files that are searched for error messages, and the number of bytes searched at their ends.
_LOGS = ('.out', '.txt', '.json', '.log', '.lammps')
_TAIL = 100_000


class JobParser(Parser):
    """Base class of the parsers; a subclass implements :meth:`read`."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach the outputs of the job and return its exit code.

        The exit code of the scheduler takes precedence, since it is the cause of missing output. A full disk, which a
        failed job mentions in one of its files, takes precedence over all others.
        """
        code = self.read(**kwargs)
        scheduler = self.scheduler_exit_code()
        if scheduler is not None:
            return scheduler
        if code is not None and code.status and self.disk_full():
            return self.full_disk()
        return code

    def read(self, **kwargs: Any) -> ExitCode | None:
        """Attach the outputs of the job and return the resulting exit code, or None if nothing is missing."""
        raise NotImplementedError

    def text(self, name: str) -> str:
        """Return the content of a retrieved file, empty if there is none."""
        repository = self.retrieved.base.repository
        if name not in repository.list_object_names():
            return ''
        return str(repository.get_object_content(name, mode='rb').decode(errors='replace'))

    def scheduler_exit_code(self) -> ExitCode | None:
        """Return the exit code set by the parser of the scheduler, or None."""
        status = self.node.exit_status
        return ExitCode(status, self.node.exit_message) if status in SCHEDULER else None

    @staticmethod
    def full_disk() -> ExitCode:
        """Return the exit code of a job that could not write to disk."""
        return ExitCode(STATUSES['ERROR_DISK_FULL'], DISK_FULL)

    def disk_full(self) -> bool:
        """Whether an output file of the job contains the error message of a full disk."""
        repository = self.retrieved.base.repository
        return any(
            _FULL.search(repository.get_object_content(name, mode='rb')[-_TAIL:].decode(errors='replace'))
            for name in repository.list_object_names()
            if name.endswith(_LOGS)
        )
