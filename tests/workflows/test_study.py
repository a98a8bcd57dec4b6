"""Which phases a study needs, from its inputs alone, and the sentence where something is missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from plumpy.utils import AttributesFrozendict

from aiida_dpasse.workflows.study import phases_of, validate_study

WHOLE = (
    'initial_data',
    'active_learning',
    'pretrain',
    'finetune_data',
    'finetune',
    'distill',
    'conductivity',
    'contrast',
)


def crystal(*symbols: str) -> Any:
    return SimpleNamespace(get_symbols_set=lambda: set(symbols))


def frames(*symbols: str) -> Any:
    return SimpleNamespace(elements=sorted(symbols))


def potential(*symbols: str) -> Any:
    return SimpleNamespace(type_map=list(symbols))


def study(without: tuple[str, ...] = (), distill_from: str = 'pretrained', **more: Any) -> Any:
    """Inputs of a whole study, less ``without``, and ``more``."""
    whole = {
        'structures': {'ordered': crystal('Li', 'Cl'), 'salt': crystal('Li', 'Br')},
        'finetune_structures': {'bromide': crystal('Li', 'Br')},
        'conductor': {'exchanged': crystal('Li', 'Cl')},
        'contrast': crystal('Li', 'Cl'),
        'codes': {'python': SimpleNamespace()},
        'calculator': SimpleNamespace(get_dict=lambda: {'name': 'chgnet'}),
        'parameters': SimpleNamespace(get_dict=lambda: {'distill_from': distill_from}),
    }
    chosen = {key: value for key, value in {**whole, **more}.items() if key not in without}
    return AttributesFrozendict(
        {key: AttributesFrozendict(value) if isinstance(value, dict) else value for key, value in chosen.items()}
    )


POTENTIALS = {'checkpoint': potential('Li', 'Cl', 'Br'), 'frozen': potential('Li', 'Cl', 'Br')}
NO_LABELS = ('structures', 'calculator')


@pytest.mark.parametrize(
    ('inputs', 'phases'),
    [
        (study(), WHOLE),
        (study(without=('contrast',)), WHOLE[:-1]),
        (study(frames=frames('Li', 'Cl', 'Br')), WHOLE[1:]),
        (study(active_learning_frames=frames('Li', 'Cl', 'Br')), WHOLE[2:]),
        (study(without=('structures',), pretrained=POTENTIALS), WHOLE[3:]),
        (study(without=NO_LABELS, pretrained=POTENTIALS, finetune_frames=frames('Li', 'Br')), WHOLE[4:]),
        (study(without=NO_LABELS, pretrained=POTENTIALS, finetuned=potential('Li', 'Cl', 'Br')), WHOLE[5:]),
        (
            study(without=(*NO_LABELS, 'finetune_structures'), pretrained={'frozen': POTENTIALS['frozen']}),
            WHOLE[5:],
        ),
        (study(without=(*NO_LABELS, 'finetune_structures'), student=potential('Li', 'Cl')), WHOLE[6:]),
        # Shown the fine-tuning although the student is there: the labels of the new compound are needed again.
        (study(student=potential('Li', 'Cl')), (*WHOLE[:5], *WHOLE[6:])),
        (study(without=('finetune_structures',)), (*WHOLE[:3], *WHOLE[5:])),
        (
            study(
                without=(*NO_LABELS, 'finetune_structures'), distill_from='finetuned', finetuned=potential('Li', 'Cl')
            ),
            WHOLE[5:],
        ),
        (study(distill_from='finetuned'), WHOLE),
    ],
)
def test_phases(inputs, phases):
    """A phase runs where its result is needed and was not handed in."""
    assert phases_of(inputs) == phases
    assert validate_study(inputs) is None


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        (study(without=('structures',)), 'structures: there is none to start `initial_data` from'),
        (study(structures={}), 'give at least one, or `frames` instead'),
        (study(without=('structures',), frames=frames('Li', 'Cl', 'Br')), 'or `active_learning_frames` instead'),
        (study(without=('finetune_structures',), distill_from='finetuned'), 'or `finetune_frames` instead'),
        (
            study(without=('calculator',)),
            'give one of them to label with. `initial_data` labels its frames.',
        ),
        (study(potential=potential('Li')), 'calculator, potential: give one of them to label with, not 2.'),
        (
            study(pretrained={'frozen': POTENTIALS['frozen']}),
            'pretrained.checkpoint: it is needed to fine-tune',
        ),
        (
            study(without=('finetune_structures',), pretrained={'checkpoint': POTENTIALS['checkpoint']}),
            'pretrained.frozen: it is needed to distil',
        ),
        (
            study(finetune_structures={'iodide': crystal('Li', 'I')}),
            'finetune_structures.iodide: `structures` does not hold I',
        ),
        (study(conductor={'iodide': crystal('Li', 'I')}), 'conductor.iodide: `structures` does not hold I'),
        (study(contrast=crystal('Na')), 'contrast: `structures` does not hold Na'),
        (study(frames=frames('Li', 'Cl')), 'finetune_structures.bromide: `frames` does not hold Br'),
        (
            study(without=('finetune_structures', 'structures', 'calculator'), student=potential('Li')),
            'conductor.exchanged: `student` does not hold Cl',
        ),
    ],
)
def test_what_is_missing(inputs, message):
    """Before anything is submitted, one sentence names the input."""
    found = validate_study(inputs)
    assert found is not None
    assert message in found
    assert '\n' not in found


def test_inputs_that_their_own_ports_refuse():
    """Without parameters or conductor there is nothing to decide."""
    assert validate_study(study(without=('parameters',))) is None
    assert validate_study(study(without=('conductor',))) is None
