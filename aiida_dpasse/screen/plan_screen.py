"""Convert the parameters of a screening into its scans."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Run, Runs
from aiida_dpasse.screen.screen_parameters import ScreenParameters
from aiida_dpasse.seeds import derive_seed


@calcfunction
def plan_screen(parameters: orm.Dict, **inputs: Any) -> dict[str, Any]:
    """Plan the scans of a screening, the smallest structures first.

    :param parameters: content of :class:`ScreenParameters`.
    :param inputs: ``structures`` by label.
    :return: ``runs``; ``scan``, the parameters of all scans; and, if requested, ``conductivity``.
    """
    settings = ScreenParameters.model_validate(parameters.get_dict())
    structures = inputs['structures']
    smallest = sorted(structures, key=lambda label: (len(structures[label].sites), label))
    scan = {**settings.scan.model_dump(), 'seed': derive_seed(settings.seed, 'scan')}
    plan: dict[str, Any] = {
        'runs': orm.Dict(Runs(Run('scan', n, structure=label) for n, label in enumerate(smallest)).to_dict()),
        'scan': orm.Dict(scan),
    }
    if settings.conductivity is not None:
        own = {**settings.conductivity.model_dump(), 'seed': derive_seed(settings.seed, 'conductivity')}
        plan['conductivity'] = orm.Dict(own)
    return plan
