"""Plugin of DeePMD-kit: run the further commands of a job in the process of its first ``dp``.

Every ``dp`` imports TensorFlow or PyTorch for three to six seconds of processor time, as long as it takes to freeze a
model several times. DeePMD-kit loads this module when a backend is imported, as one of its plugins: it lies, with the
entry points and the steps, in a zip in the ``PYTHONPATH`` of the job. What it leaves undone, for whatever reason, the
script of the job does in processes of their own. Independent of this package.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Folder of a file until it is complete; its name stays, since PyTorch writes that into the file.
PART = 'dp_part'


def run_steps(main: Callable[[Any], None], steps: list[dict[str, Any]]) -> None:
    """Run the steps whose output is missing, one after the other, up to the first that fails.

    :param main: entry point of a backend, which takes parsed arguments of ``dp``.
    :param steps: ``arguments`` of ``dp``, the ``output`` that they name, and the ``log`` of both streams.
    """
    from deepmd.main import parse_args

    for step in steps:
        output = step['output']
        if os.path.exists(output):
            continue
        part = os.path.join(PART, output)
        os.makedirs(PART, exist_ok=True)
        gc.collect()  # the training may have left large arrays in cycles
        with _streams_in(step['log']):
            try:
                main(parse_args([part if argument == output else argument for argument in step['arguments']]))
                os.replace(part, output)
            except Exception:  # whatever a backend raises; the script of the job tries once more
                traceback.print_exc()
                return


@contextmanager
def _streams_in(path: str) -> Iterator[None]:
    """Send both streams of this process, also those of its libraries, to a file."""
    kept = os.dup(1), os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        _direct(log, log)
        yield
    finally:
        _direct(*kept)
        for descriptor in (log, *kept):
            os.close(descriptor)


def _direct(stdout: int, stderr: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)


def install() -> None:
    """Let the entry point of the backend run the steps after the command that it was called for."""
    plan = json.loads(pkgutil.get_data(__package__, 'steps.json') or b'')
    module = importlib.import_module(f'deepmd.{plan["backend"]}.entrypoints.main')
    main = module.main

    def main_and_steps(args: Any = None) -> None:
        main(args)
        run_steps(main, plan['steps'])

    module.main = main_and_steps  # type: ignore[attr-defined]


if __package__ == 'dpasse_dp':  # loaded by DeePMD-kit
    try:
        install()
    except Exception as exception:  # another release, perhaps: the command itself must not suffer
        print(f'aiida-dpasse: each command runs in a process of its own ({exception!r})', file=sys.stderr)
