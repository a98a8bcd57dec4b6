"""Turn the parameters of a validation into those of its tests."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.seeds import derive_seed

#: All finite answers of a calculator are compared: a validation rejects no frame because its error is large.
ADMIT = {'mode': 'audit', 'minimum_success': 0.0, 'dynamics': None, 'relaxation': None}

#: How the labels of the inputs begin; the number in a test's key tells apart what joins to the same name.
KINDS = ('potential_', 'calculator_', 'set_')


@calcfunction
def plan_validate(parameters: orm.Dict, **nodes: orm.Data) -> dict[str, orm.Dict]:
    """Return ``label``, for the calculators; ``evaluate_<potential>`` for every potential; ``table``; with structures
    ``relax`` and ``structures``; and, if descriptors are to be drawn, ``map`` and, for a potential's, ``describe``.

    :param nodes: what was handed in: ``potential_<label>``, ``calculator_<label>``, ``set_<label>`` and
        ``structure_<label>``.
    """
    settings = parameters.get_dict()
    names = {kind: [key.removeprefix(kind) for key in sorted(nodes) if key.startswith(kind)] for kind in KINDS}
    shown = settings.get('descriptors')
    plan: dict[str, Any] = {
        'label': {**ADMIT, 'batch_size': settings['batch_size']},
        'table': {name: settings[name] for name in ('temperature_bin', 'parity_points', 'seed')}
        | {'temperatures': settings.get('temperatures', {}), 'tests': test_keys(names)},
    }
    for label in names['potential_']:
        head = settings.get('heads', {}).get(label)
        plan[f'evaluate_{label}'] = {'heads': {label: head}} if head else {}
    if any(key.startswith('structure_') for key in nodes):
        plan['relax'] = {**plan['label'], 'relaxation': settings['relaxation']}
        labels = [*names['potential_'], *names['calculator_']]
        plan['structures'] = {
            'relaxations': {f'relax_{i:02d}_{label}': label for i, label in enumerate(labels)},
            'decomposition': settings.get('decomposition', {}),
        }
    if shown is not None:
        plan['map'] = {**shown, 'seed': derive_seed(settings['seed'], 'map')}
        if by := shown.get('potential'):
            plan['describe'] = {**plan[f'evaluate_{by}'], 'descriptors': True}
    return {key: orm.Dict(value) for key, value in plan.items()}


def test_keys(names: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """Return for every test its key, and the ``potential``, ``kind`` and ``set`` that it is of.

    >>> test_keys({'potential_': ['dpa'], 'calculator_': [], 'set_': ['hot']})
    {'test_00_dpa_hot': {'potential': 'dpa', 'kind': 'potential', 'set': 'hot'}}
    """
    tests = [
        {'potential': label, 'kind': kind.rstrip('_'), 'set': name}
        for kind in KINDS[:2]
        for label in names[kind]
        for name in names['set_']
    ]
    return {f'test_{i:02d}_{test["potential"]}_{test["set"]}': test for i, test in enumerate(tests)}
