"""Pack a driver and its modules into a zip that any Python with numpy can run, and our plugin of `dp` into another."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

_PACKAGE = 'aiida_dpasse'
# A constant date, the oldest in the zip format, so that equal sources give equal bytes on every machine.
_DATE = (1980, 1, 1, 0, 0, 0)


@lru_cache
def pack_driver(driver: str, modules: tuple[str, ...]) -> bytes:
    """Return the content of the zip that runs ``aiida_dpasse.drivers.<driver>``.

    The path ``aiida_dpasse/...`` is kept, so that packed subpackages do not shadow programs of the same names.

    :param driver: name of the driver.
    :param modules: further modules to pack, relative to the package, for example ``deepmd.dataset``.
    """
    start = f'import sys\nfrom {_PACKAGE}.drivers.{driver} import main\nsys.exit(main(sys.argv[1:]))\n'
    content = {'__main__.py': start}
    for module in ('', *_with_parents((f'drivers.{driver}', *modules))):
        path = module.replace('.', '/')
        source = files(_PACKAGE)
        for part in filter(None, path.split('/')):
            source = source / part
        is_package = source.is_dir()
        target = '/'.join(filter(None, [_PACKAGE, path, '__init__.py'])) if is_package else f'{_PACKAGE}/{path}.py'
        source = source / '__init__.py' if is_package else files(_PACKAGE) / f'{path}.py'
        content[target] = source.read_text()
    return _zip(content)


def pack_dp_plugin(backend: str, steps: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the content of the zip that runs ``steps`` after a ``dp`` with this zip in its ``PYTHONPATH``.

    :param backend: part of DeePMD-kit that runs them, ``tf`` or ``pt``.
    :param steps: see `dp_plugin.run_steps`.
    """
    name, information = 'dpasse_dp', 'dpasse_dp-1.dist-info'
    return _zip(
        {
            f'{name}/__init__.py': (files(_PACKAGE) / 'drivers' / 'dp_plugin.py').read_text(),
            f'{name}/steps.json': json.dumps({'backend': backend, 'steps': [dict(step) for step in steps]}, indent=1),
            f'{information}/METADATA': 'Metadata-Version: 2.1\nName: dpasse-dp\nVersion: 1\n',
            # Groups of TensorFlow's and of PyTorch's plugins.
            f'{information}/entry_points.txt': f'[deepmd]\n{name} = {name}\n\n[deepmd.pt]\n{name} = {name}\n',
        }
    )


def _zip(content: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_STORED) as archive:
        for name in sorted(content):
            archive.writestr(zipfile.ZipInfo(name, _DATE), content[name])
    return buffer.getvalue()


def _with_parents(modules: Iterable[str]) -> list[str]:
    found: set[str] = set()
    for module in modules:
        parts = module.split('.')
        found |= {'.'.join(parts[: length + 1]) for length in range(len(parts))}
    return sorted(found)


def driver_version(driver: str, modules: tuple[str, ...]) -> int:
    """Return a number that changes with the packed sources, for `CACHE_VERSION`; parameters as in `pack_driver`."""
    return int.from_bytes(hashlib.sha256(pack_driver(driver, modules)).digest()[:6], 'big')
