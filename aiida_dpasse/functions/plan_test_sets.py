"""Turn the parameters of test sets into those of their runs, samples and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.functions.plan_validate import ADMIT
from aiida_dpasse.seeds import derive_seed

#: The test sets, in the order in which they are made.
PARTS = ('near_equilibrium', 'heating')


def line_of(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return the temperatures of a part as a linear heating, which near equilibrium stays where it is.

    >>> line_of({'temperature': 50.0, 'steps': 10, 'frames': 5})
    {'first': 50.0, 'last': 50.0, 'steps': 10}
    """
    first = part.get('first', part.get('temperature'))
    return {'first': first, 'last': part.get('last', first), 'steps': part['steps']}


def runs_of(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return by part the parameters of `dpasse.md`, without seed; a part that is null has none."""
    runs = {}
    for name in PARTS:
        if (part := settings.get(name)) is None:
            continue
        line = line_of(part)
        runs[name] = {
            **settings['md'],
            'temperature': line['first'],
            'steps': part['steps'],
            'sample_interval': part['steps'] // part['frames'],
        }
        if line['last'] != line['first']:
            runs[name]['final_temperature'] = line['last']
    return runs


@calcfunction
def plan_test_sets(parameters: orm.Dict, **structures: orm.StructureData) -> dict[str, orm.Dict]:
    """Return the parameters of each run, ``<part>_<structure>``; ``supercell``; ``label``; and ``sample``.

    ``sample`` says under ``lines``, by part, the temperatures, and under ``runs``, by run, its ``part``, its
    ``structure`` and the ``steps`` at which its frames are taken.
    """
    settings = parameters.get_dict()
    plan: dict[str, Any] = {
        'supercell': {'supercell': settings['supercell']},
        # How many labels may fail is the user's: a set that lost half of its frames tests something else.
        'label': {**settings['label'], **{name: value for name, value in ADMIT.items() if name != 'minimum_success'}},
    }
    runs, lines = {}, {}
    for part, md in runs_of(settings).items():
        lines[part] = line_of(settings[part])
        steps = list(range(md['sample_interval'], md['steps'] + 1, md['sample_interval']))
        for label in sorted(structures):
            key = f'{part}_{label}'
            plan[key] = {**md, 'seed': derive_seed(settings['seed'], part, label)}
            runs[key] = {'part': part, 'structure': label, 'steps': steps}
    plan['sample'] = {'lines': lines, 'runs': runs}
    return {key: orm.Dict(value) for key, value in plan.items()}
