"""Columns of an extxyz file, checked before its reader takes memory for them."""

from __future__ import annotations

import re

#: Most numbers in a row of an atom.
MOST_COLUMNS = 1000
_PROPERTIES = re.compile(rb'Properties\s*=\s*"?([^\s"]+)', re.IGNORECASE)


def has_plausible_columns(comment: bytes) -> bool:
    """Return whether the columns that a frame declares, as in `species:S:1:pos:R:3`, are at most `MOST_COLUMNS`.

    :param comment: second line of the frame.
    """
    for match in _PROPERTIES.finditer(comment):
        counts = match[1].split(b':')[2::3]
        if not all(re.fullmatch(rb'\d{1,4}', count) for count in counts) or sum(map(int, counts)) > MOST_COLUMNS:
            return False
    return True
