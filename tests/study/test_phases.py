"""Which phases a study needs, from its inputs alone, and the sentence where something is missing."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import pytest
from aiida import orm
from plumpy.utils import AttributesFrozendict

from aiida_dpasse.label.sources import source_of
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.study.electrolyte import (
    ElectrolyteWorkChain,
    _unusable_potentials,
    phases_of,
    validate_electrolyte,
)
from aiida_dpasse.study.electrolyte_parameters import ElectrolyteParameters

WHOLE = (
    'initial_data',
    'active_learning',
    'pretrain',
    'finetune_labels',
    'finetune',
    'distill',
    'conductivity',
    'reference',
)

#: A code whose release of DeePMD-kit is unknown.
CODE = SimpleNamespace(
    base=SimpleNamespace(extras={}), prepend_text='', computer=SimpleNamespace(get_prepend_text=lambda: '')
)


def crystal(*symbols: str) -> Any:
    return SimpleNamespace(get_symbols_set=lambda: set(symbols))


def frames(*symbols: str) -> Any:
    return SimpleNamespace(elements=sorted(symbols), frames=100, labels=('energy', 'force', 'virial'))


def potential(*symbols: str, form: str = 'frozen', needs_migration: bool = False, heads: tuple[str, ...] = ()) -> Any:
    def missing_elements(elements: Any) -> list[str]:
        return sorted(set(elements) - set(symbols))

    return SimpleNamespace(
        type_map=list(symbols),
        form=form,
        is_checkpoint=form == 'checkpoint',
        pk=None,
        check_usable_with=lambda version: 'needs migration' if needs_migration else None,
        check_usable_in_python=lambda version: None,
        check_kind=lambda: None,
        framework='pytorch',
        descriptor='dpa2',
        needs_migration=needs_migration,
        heads=list(heads),
        missing_elements=missing_elements,
        check_elements=lambda elements, _: None,
    )


@lru_cache
def demo() -> dict[str, Any]:
    """Parameters of a study of atoms that every section knows."""
    return ElectrolyteWorkChain.protocol_parameters('demo', {'distill': {'perturbations': {'number': 20}}})


def study(
    without: tuple[str, ...] = (),
    distill_from: str = 'pretrained',
    changes: dict[str, Any] | None = None,
    **more: Any,
) -> Any:
    """Inputs of a whole study, less ``without``, and ``more``; ``changes`` are those of the parameters."""
    whole = {
        'structures': {'ordered': crystal('Li', 'Cl'), 'salt': crystal('Li', 'Br')},
        'finetune_structures': {'bromide': crystal('Li', 'Br')},
        'electrolyte': {'exchanged': crystal('Li', 'Cl')},
        'reference': crystal('Li', 'Cl'),
        'codes': {'python': CODE},
        'calculator': SimpleNamespace(get_dict=lambda: {'name': 'chgnet'}),
        'parameters': SimpleNamespace(
            get_dict=lambda: merge(demo(), {**(changes or {}), 'distill_from': distill_from})
        ),
    }
    chosen = {key: value for key, value in {**whole, **more}.items() if key not in without}
    return AttributesFrozendict(
        {key: AttributesFrozendict(value) if isinstance(value, dict) else value for key, value in chosen.items()}
    )


POTENTIALS = {'checkpoint': potential('Li', 'Cl', 'Br', form='checkpoint'), 'frozen': potential('Li', 'Cl', 'Br')}
OLD = potential('Li', 'Cl', 'Br', form='checkpoint', needs_migration=True)
SEVERAL = potential('Li', 'Cl', 'Br', form='checkpoint', heads=('pbe', 'pbesol'))
FROM_STUDENT = ('structures', 'calculator', 'finetune_structures')


@pytest.fixture(autouse=True)
def profile(aiida_profile):
    """The sections are handed to the checks of their chains as nodes."""


NO_LABELS = ('structures', 'calculator')


@pytest.mark.parametrize(
    ('inputs', 'phases'),
    [
        (study(), WHOLE),
        (study(without=('reference',)), WHOLE[:-1]),
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
    """A phase runs if its result is needed and not given."""
    assert phases_of(inputs) == phases
    assert validate_electrolyte(inputs) is None


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        (study(without=('structures',)), 'structures: '),
        (study(structures={}), '`frames`'),
        (study(without=('structures',), frames=frames('Li', 'Cl', 'Br')), '`active_learning_frames`'),
        (study(without=('finetune_structures',), distill_from='finetuned'), '`finetune_frames`'),
        (
            study(without=('calculator',)),
            '`initial_data`',
        ),
        (study(potential=potential('Li')), 'calculator, potential: '),
        (
            study(pretrained={'frozen': POTENTIALS['frozen']}),
            'pretrained.checkpoint: ',
        ),
        (
            study(without=('finetune_structures',), pretrained={'checkpoint': POTENTIALS['checkpoint']}),
            'pretrained.frozen: ',
        ),
        (
            study(finetune_structures={'iodide': crystal('Li', 'I')}),
            'finetune_structures.iodide: ',
        ),
        (study(electrolyte={'iodide': crystal('Li', 'I')}), 'electrolyte.iodide: '),
        (study(reference=crystal('Na')), 'reference: '),
        (study(frames=frames('Li', 'Cl')), 'finetune_structures.bromide: '),
        (study(without=FROM_STUDENT, student=potential('Li')), 'electrolyte.exchanged: '),
        (
            study(electrolyte={'reference': crystal('Li', 'Cl')}),
            'electrolyte.reference: ',
        ),
        # A checkpoint is frozen, unless a release or a head is to be chosen first.
        (study(without=FROM_STUDENT, student=OLD), 'student: '),
        (study(without=FROM_STUDENT, student=SEVERAL), 'student: '),
        (
            study(without=FROM_STUDENT, pretrained={'frozen': OLD}),
            'pretrained.frozen: ',
        ),
        # Sections, before the phases that come before them have run for days.
        (
            study(changes={'conductivity': {'transport': {'ion': 'Na'}}}),
            'parameters.conductivity: ',
        ),
        (
            study(changes={'reference': {'transport': {'ion': 'Na'}}}),
            'parameters.reference: ',
        ),
        (
            study(changes={'distill': {'dynamics': {'starts': 1000}}}),
            'distill: ',
        ),
        (
            study(changes={'pretrain': {'train': {'processes': 2}}}),
            'codes.torchrun: ',
        ),
        (
            study(changes={'active_learning': {'committee': {'train': {'processes': 3, 'backend': 'pytorch'}}}}),
            'codes.torchrun: ',
        ),
        (
            study(changes={'pretrain': {'train': {'input': {'model': {'type_map': ['U']}}}}}),
            'parameters.pretrain: ',
        ),
        (
            study(changes={'distill': {'train': {'input': {'model': {'type_map': ['Li', 'Br']}}}}}),
            'parameters.distill: ',
        ),
        (
            study(
                active_learning_frames=frames('Li', 'Cl', 'Br'),
                changes={'pretrain': {'split': {'validation': 0, 'test': 100}}},
            ),
            'pretrain: ',
        ),
    ],
)
def test_what_is_missing(inputs, message):
    """Before anything is submitted, one sentence names the input."""
    found = validate_electrolyte(inputs)
    assert found is not None
    assert message in found
    assert '\n' not in found


def passport(name: str, verdict: str) -> Any:
    content = {
        'source': source_of({'calculator': orm.Dict({'name': name})}, {}),
        'forces': {'slope': 0.55, 'interval': [0.54, 0.56]},
        'verdict': verdict,
        'reason': 'The slope is 0.55.',
    }
    return SimpleNamespace(get_dict=lambda: content)


def test_soft_labels_and_those_of_another_source_are_refused():
    """What the study accepts, its active learning accepts as well, which gets the same passport."""
    assert validate_electrolyte(study(passport=passport('chgnet', 'stiff enough'))) is None
    assert validate_electrolyte(study(passport=passport('sevennet-0', 'stiff enough'))).startswith('passport: ')
    soft = passport('chgnet', 'soft')
    assert 'The slope is 0.55.' in validate_electrolyte(study(passport=soft))
    assert validate_electrolyte(study(passport=soft, changes={'accept_soft_labels': True})) is None


def test_inputs_that_their_own_ports_refuse():
    """Without parameters or electrolyte there is nothing to decide."""
    assert validate_electrolyte(study(without=('parameters',))) is None
    assert validate_electrolyte(study(without=('electrolyte',))) is None


def test_a_checkpoint_may_simulate_and_teach():
    """It is frozen on the way."""
    checkpoint = potential('Li', 'Cl', 'Br', form='checkpoint')
    assert _unusable(study(without=FROM_STUDENT, student=checkpoint)) is None
    assert _unusable(study(without=FROM_STUDENT, pretrained={'frozen': checkpoint})) is None


def _unusable(inputs: Any) -> str | None:
    return _unusable_potentials(inputs, phases_of(inputs))


def test_several_processes_with_torchrun():
    """With the code they are accepted, however deep."""
    codes = {'python': CODE, 'torchrun': CODE}
    assert validate_electrolyte(study(codes=codes, changes={'pretrain': {'train': {'processes': 2}}})) is None


@pytest.mark.parametrize(
    ('section', 'split', 'message'),
    [
        ('pretrain', {'validation': 1.5}, '`pretrain.split.validation`'),
        ('finetune', {'test': -1}, '`finetune.split.test`'),
    ],
)
def test_impossible_splits(section, split, message):
    """A part of the frames is a whole number of them, or a fraction below 1."""
    found = check_parameters(ElectrolyteParameters, merge(demo(), {section: {'split': split}}))
    assert found is not None
    assert message in found
