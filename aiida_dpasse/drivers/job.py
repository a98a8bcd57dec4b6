"""Input and output that all drivers share: ``job.json``, and ``output.json``, written last and atomically."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

JOB = 'job.json'
RESULT = 'output.json'
OUTPUT = 'output'
FRAMES = 'frames'
#: Entry of the result that lists the files of the output folder.
MANIFEST = 'files'


def read_job(arguments: list[str]) -> dict[str, Any]:
    """Return the content of the job file, by default ``job.json``.

    :param arguments: command-line arguments; the first is the path of the job file.
    """
    return dict(json.loads(Path(arguments[0] if arguments else JOB).read_text()))


def write_result(result: dict[str, Any]) -> None:
    """Write ``output.json`` atomically, so that a killed job leaves no partial file; nan becomes null.

    The result lists the files in ``output/`` as `MANIFEST`, so these must be written before.

    :param result: content of the file.
    """
    temporary = Path(f'{RESULT}.part')
    temporary.write_text(json.dumps(_without_nan({**result, MANIFEST: manifest()})))
    os.replace(temporary, RESULT)


def manifest(folder: str | Path = OUTPUT) -> dict[str, dict[str, Any]]:
    """Return hash and size of every file in ``folder``.

    The parser compares the retrieved files with it.

    :param folder: output folder of the job.
    :returns: ``sha256`` and ``size`` (bytes) by relative path.
    """
    root = Path(folder)
    files = sorted(path for path in root.rglob('*') if path.is_file())
    return {
        path.relative_to(root).as_posix(): {
            'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
            'size': path.stat().st_size,
        }
        for path in files
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if hasattr(value, 'tolist'):
        return _without_nan(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
