"""Mutate the input of every reader and count what comes of it: `python tests/hostile/fuzz.py [COUNT] [READER...]`.

COUNT mutations (300) of each reader are read in a process of its own with bounded memory and a time limit for each. The
table lists how many were read, how many refused with one sentence, and how many neither, with the seed of each kind.
`--lies` reads the files of `lies.py` instead, and `--show READER SEED` prints one traceback.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

#: Processor time in s for one input, and bytes that it may take beyond those of the imported libraries.
SECONDS, MEMORY = 5, 500 << 20
#: Time in s after which it waits for something that does not come, on whatever busy machine.
HANGS = 90


class TooLongError(BaseException):
    """Reading took longer than `SECONDS`."""


def _stop(*_: Any) -> None:
    raise TooLongError


def run(name: str, count: int, start: int = 0) -> int:
    """Read the mutations of one reader in a process of its own, print their numbers, and return how many went wrong.

    :param name: of the reader.
    :param count: number of mutations.
    :param start: seed of the first.
    """
    from hostile.mutations import ENTRANCES, outcome, sample

    # The libraries are imported, once for all processes, before memory is limited.
    sound = outcome(ENTRANCES[name], sample(ENTRANCES[name]))
    if sound != 'read':
        print(f'the sound input of {name} is not read: {sound}', flush=True)
        return 1
    child = os.fork()
    if child == 0:
        wrong = 255
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            wrong = min(_run(name, count, start), 254)
        finally:
            sys.stdout.flush()
            os._exit(wrong)
    _, status = os.waitpid(child, 0)
    if status & 0xFF or status >> 8 == 255:
        print(f'| {name} | ended with the status {status} |', flush=True)
    return status


def _run(name: str, count: int, start: int) -> int:
    from hostile.mutations import ENTRANCES, outcome, write_mutated

    entrance = ENTRANCES[name]
    _limit()
    counts: Counter[str] = Counter()
    examples: dict[str, tuple[int, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(start, start + count):
            place = Path(folder) / str(seed)
            place.mkdir()
            write_mutated(entrance, place, seed)
            _start_clocks(SECONDS, HANGS)
            try:
                found = outcome(entrance, place)
            except TooLongError:
                found = 'takes longer'
            finally:
                _start_clocks(0, 0)
            kind = found if found in ('read', 'refused') else 'wrong'
            counts[kind] += 1
            if kind == 'wrong':
                examples.setdefault(found[:60], (seed, found))
    print(f'| {name} | {count} | {counts["read"]} | {counts["refused"]} | {counts["wrong"]} |', flush=True)
    for seed, found in examples.values():
        print(f'    seed {seed}: {found!r}', flush=True)
    return counts['wrong']


def run_lies() -> int:
    """Read each of the small files that declare huge contents in a process of its own, print what comes of it, and
    return how many were believed.
    """
    from hostile.lies import HARMLESS, LIES
    from hostile.mutations import Entrance, outcome

    wrong = 0
    for name, (make, read) in LIES.items():
        folder = Path(tempfile.mkdtemp())
        make(folder)
        child = os.fork()
        if child == 0:
            found, allowed = 'ended', ('refused', 'read') if name in HARMLESS else ('refused',)
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                _limit()
                _start_clocks(SECONDS, HANGS)
                found = outcome(Entrance(make, read), folder)
            except TooLongError:
                found = 'takes longer'
            finally:
                _start_clocks(0, 0)
                print(f'| {name} | {found} |', flush=True)
                os._exit(found not in allowed)
        wrong += bool(os.waitpid(child, 0)[1])
        shutil.rmtree(folder)
    return wrong


def _limit() -> None:
    """Limit the memory of this process."""
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def _start_clocks(processor: int, wall: int) -> None:
    """Stop the reading after a processor time or a time, in s; 0 stops the clocks."""
    for clock, timer, seconds in (
        (signal.SIGPROF, signal.ITIMER_PROF, processor),
        (signal.SIGALRM, signal.ITIMER_REAL, wall),
    ):
        signal.signal(clock, _stop)
        signal.setitimer(timer, seconds)


def show(name: str, seed: int) -> None:
    """Read one mutation and print its traceback.

    :param name: of the reader.
    :param seed: of the mutation.
    """
    from hostile.mutations import ENTRANCES, write_mutated

    folder = Path(tempfile.mkdtemp())
    print(write_mutated(ENTRANCES[name], folder, seed))
    try:
        print(ENTRANCES[name].read(folder))
    except Exception:
        traceback.print_exc()


def main(arguments: list[str]) -> int:
    """Run the readers that are named, or all of them, each in a process of its own; 1 if anything is wrong."""
    warnings.simplefilter('ignore')
    if arguments[:1] == ['--lies']:
        return int(bool(run_lies()))
    if arguments[:1] == ['--show']:
        show(arguments[1], int(arguments[2]))
        return 0
    from hostile.mutations import ENTRANCES

    count = int(arguments[0]) if arguments and arguments[0].isdigit() else 300
    names = [name for name in arguments if not name.isdigit()] or list(ENTRANCES)
    print('| reader | mutations | read | refused | wrong |\n| --- | --- | --- | --- | --- |', flush=True)
    return int(any([run(name, count) for name in names]))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
