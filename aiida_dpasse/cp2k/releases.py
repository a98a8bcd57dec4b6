"""Releases of CP2K whose input is written and whose output is read.

What differs between them:

========  ==============================================================================================================
2024.1    stops at the first frame whose electrons do not converge; a reference trajectory has the keyword EVAL
2025.1    the energy in the log has no colon, and units of energy and stress can be set
2026.2    a reference trajectory no longer has the keywords EVAL_ENERGY_FORCES and EVAL_FORCES
========  ==============================================================================================================
"""

from __future__ import annotations

import re

FIRST, LAST = (2022, 1), (2026, 2)
#: First release without the keywords EVAL_ENERGY_FORCES and EVAL_FORCES.
WITHOUT_EVAL_FORCES = (2026, 2)
SUPPORTED = 'CP2K {}.{} to {}.{}'.format(*FIRST, *LAST)
_LOG = re.compile(r'CP2K\| version string:\s+CP2K version (\d+)\.(\d+)')


def release_of(output: str) -> tuple[int, int] | None:
    """Return the release that wrote a log, such as (2025, 1), or None if its head is missing.

    :param output: log of CP2K.
    """
    match = _LOG.search(output)
    return (int(match[1]), int(match[2])) if match else None


def parse_release(text: str) -> tuple[int, int]:
    """Return a release as numbers.

    :param text: release, such as 2025.1.
    :raises ValueError: if the release is not supported.
    """
    match = re.fullmatch(r'(\d+)\.(\d+)', text)
    release = (int(match[1]), int(match[2])) if match else (0, 0)
    if not FIRST <= release <= LAST:
        raise ValueError(f'{SUPPORTED} are supported, got {text!r}')
    return release
