"""Exit 0 if this checkout and all requirements of some extras are installed: `installed.py ROOT EXTRA,EXTRA`."""

from __future__ import annotations

import json
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

from packaging.requirements import Requirement


def is_satisfied(requirement: Requirement) -> bool:
    """Whether the package is there in a version that fits, with what its own extras ask for."""
    try:
        distribution = metadata.distribution(requirement.name)
    except metadata.PackageNotFoundError:
        return False
    if not requirement.specifier.contains(distribution.version, prereleases=True):
        return False
    for text in distribution.requires or []:
        item = Requirement(text)
        asked = any(item.marker and item.marker.evaluate({'extra': extra}) for extra in requirement.extras)
        if asked and not item.marker.evaluate({'extra': ''}) and not is_satisfied(item):
            return False
    return True


def is_this_checkout(root: Path) -> bool:
    """Whether the installed aiida-dpasse is an editable install of `root`."""
    try:
        source = json.loads(metadata.distribution('aiida-dpasse').read_text('direct_url.json') or '{}')
    except metadata.PackageNotFoundError:
        return False
    editable = source.get('dir_info', {}).get('editable', False)
    return editable and Path(unquote(urlparse(source['url']).path)).resolve() == root.resolve()


def main(root: Path, extras: list[str]) -> int:
    """Return the exit status."""
    project = tomllib.loads((root / 'pyproject.toml').read_text())['project']
    texts = [*project['dependencies'], *(item for extra in extras for item in project['optional-dependencies'][extra])]
    return int(not (is_this_checkout(root) and all(is_satisfied(Requirement(text)) for text in texts)))


if __name__ == '__main__':
    sys.exit(main(Path(sys.argv[1]), sys.argv[2].split(',')))
