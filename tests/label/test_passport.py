"""Chains that label for training take a passport: that of the labeller, and not of a soft one unless it is accepted."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_dpasse.calculations.label import validate_calculator
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.label.passport import brief, quality, quality_of, validate_passport
from aiida_dpasse.label.sources import source_of
from aiida_dpasse.merging import merge
from aiida_dpasse.study.electrolyte import ElectrolyteWorkChain
from aiida_dpasse.study.electrolyte_parameters import ElectrolyteParameters


def made(calculator=None, verdict: str = 'stiff enough', slope: float = 0.95, **source) -> orm.Dict:
    """A passport."""
    own = source or source_of({'calculator': orm.Dict(calculator)}, {})
    forces = {'slope': slope, 'interval': [slope - 0.01, slope + 0.01]}
    return orm.Dict({'source': own, 'forces': forces, 'verdict': verdict, 'reason': 'Because.'})


def objection(passport, calculator=None, parameters=None, **inputs):
    given = {'parameters': orm.Dict(parameters or {}), 'passport': passport, **inputs}
    if calculator is not None:
        given['calculator'] = orm.Dict(calculator)
    return validate_passport(given)


@pytest.mark.parametrize(
    ('tested', 'used', 'same'),
    [
        ({'name': 'sevennet-0'}, {'name': 'sevennet-0', 'device': 'cuda'}, True),
        ({'name': 'sevennet-0'}, {'name': 'sevenn.calculator:SevenNetCalculator', 'model': '7net-0'}, True),
        ({'name': 'sevennet-0'}, {'name': 'sevennet-l3i5'}, False),
        ({'name': 'lj', 'epsilon': 1.0}, {'name': 'lj', 'epsilon': 2.0}, False),
    ],
)
def test_the_passport_is_that_of_the_labeller(aiida_profile, tested, used, same):
    message = objection(made(tested), used)
    assert message is None if same else message.startswith('passport: ')


def test_a_potential_is_compared_by_its_file(aiida_profile):
    passport = made(kind='potential', name='dpa2', sha256='a')
    teachers = {sha: SimpleNamespace(sha256=sha, descriptor='dpa2') for sha in 'ab'}
    assert objection(passport, potential=teachers['a']) is None
    assert objection(passport, potential=teachers['b']) is not None


def test_a_program_is_compared_by_its_settings(aiida_profile):
    codes = {'shell': SimpleNamespace(filepath_executable='/opt/bin/mine')}
    section = {'shell': {'arguments': ['{frames}', 'labels.xyz']}}
    own = source_of({'codes': codes}, section)
    assert own['executable'] == 'mine'
    assert objection(made(**own), parameters={'label': section}, codes=codes) is None
    other = {'shell': {'arguments': ['-x', '{frames}', 'labels.xyz']}}
    assert objection(made(**own), parameters={'label': other}, codes=codes) is not None
    elsewhere = {'shell': SimpleNamespace(filepath_executable='/usr/bin/other')}
    assert objection(made(**own), parameters={'label': section}, codes=elsewhere) is not None


def test_soft_labels_are_refused_unless_accepted(aiida_profile):
    soft = made({'name': 'chgnet'}, 'soft', 0.55)
    assert 'Because.' in objection(soft, {'name': 'chgnet'})
    assert objection(soft, {'name': 'chgnet'}, {'accept_soft_labels': True}) is None
    # Labels that are given as frames have no labeller to compare with.
    assert objection(soft) is not None
    assert objection(made({'name': 'chgnet'}, 'undetermined'), {'name': 'chgnet'}) is None
    assert objection(orm.Dict({'verdict': 'stiff enough'}), {'name': 'chgnet'}) is not None
    assert objection(None, {'name': 'chgnet'}) is None


@pytest.mark.parametrize('chain', [ActiveLearningWorkChain, ElectrolyteWorkChain])
def test_chains_that_label_for_training_have_the_input(chain):
    assert not chain.spec().inputs['passport'].required
    assert chain.protocol_parameters('demo')
    assert 'accept_soft_labels' in chain.PARAMETERS.model_fields


def test_what_a_study_accepts_its_active_learning_accepts():
    settings = ElectrolyteWorkChain.protocol_parameters('demo')
    for accepted in (False, True):
        found = ElectrolyteParameters.model_validate(merge(settings, {'accept_soft_labels': accepted}))
        assert found.active_learning.accept_soft_labels is accepted


def test_what_labels_are_worth(aiida_profile):
    passport = made({'name': 'sevennet-l3i5'}).get_dict()
    assert quality(passport) == 'labels by sevennet-l3i5: slope of forces 0.95 (0.94-0.96), stiff enough'
    assert brief(passport) == {
        'source': 'sevennet-l3i5',
        'force_slope': 0.95,
        'force_slope_interval': pytest.approx([0.94, 0.96]),
        'verdict': 'stiff enough',
    }
    assert brief(None) is None


def test_what_labels_without_a_passport_are_worth(aiida_profile):
    """Of a calculator that was measured, its slope is known; of another one nothing."""
    for name, known in (('sevennet-l3i5', True), ('emt', False)):
        process = orm.WorkChainNode()
        process.base.links.add_incoming(orm.Dict({'name': name}).store(), LinkType.INPUT_WORK, 'calculator')
        assert ('0.93' in quality_of(process.store())) is known


@pytest.mark.parametrize(
    ('calculator', 'soft'),
    [
        ({'name': 'chgnet'}, False),
        ({'name': 'mine:CHGNetFromFile', 'path': 'chgnet_r2scan.pth.tar'}, True),
        ({'name': 'sevenn.calculator:SevenNetCalculator', 'model': '7net-mf-0', 'modal': 'R2SCAN'}, True),
        ({'name': 'sevenn.calculator:SevenNetCalculator', 'model': '7net-mf-0', 'modal': 'PBE'}, False),
    ],
)
def test_known_soft_calculators_give_a_warning(aiida_profile, calculator, soft):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert validate_calculator(orm.Dict(calculator), None) is None
    assert len(caught) == soft


def test_arguments_that_a_short_name_determines_are_refused(aiida_profile):
    assert '`model`' in validate_calculator(orm.Dict({'name': 'sevennet-0', 'model': '7net-mf-0'}), None)
