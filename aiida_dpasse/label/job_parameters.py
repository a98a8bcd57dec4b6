"""Parameters of one labelling job, taken from those of a labelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_dpasse.label_sources import source_names
from aiida_dpasse.merging import merge


def job_parameters(settings: Mapping[str, Any], program: str | None = None, retry: bool = False) -> dict[str, Any]:
    """Return the parameters of a job of one program, or of the labelling driver, from those of a labelling.

    :param settings: content of `LabelParameters`.
    :param program: name of the program, or None for the driver.
    :param retry: whether the ``retry`` settings of the program are merged into its other settings.
    """
    others = ('batch_size', 'minimum_success', *source_names())
    common = {key: value for key, value in settings.items() if key not in others}
    own = settings.get(program) if program else None
    if not own:
        return common
    first = {key: value for key, value in own.items() if key != 'retry'}
    return {**common, str(program): merge(first, own.get('retry') or {}) if retry else first}
