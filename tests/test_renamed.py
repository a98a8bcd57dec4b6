"""Old names work for one release, with a deprecation warning."""

from __future__ import annotations

import pytest
from aiida.plugins import WorkflowFactory

from aiida_dpasse.base.protocols import protocol
from aiida_dpasse.dynamics.conductivity_parameters import ConductivityParameters
from aiida_dpasse.renamed import ENTRY_POINTS, PROTOCOLS, new_keys
from aiida_dpasse.study.electrolyte_parameters import ElectrolyteParameters


@pytest.mark.parametrize(('old', 'new'), ENTRY_POINTS.items())
def test_an_old_entry_point_loads_the_chain_and_its_processes_have_the_new_type(old, new):
    with pytest.warns(DeprecationWarning, match=new.partition('.')[2].title().replace('_', '')):
        chain = WorkflowFactory(old)
    assert chain is WorkflowFactory(new)
    assert chain.build_process_type() == f'aiida.workflows:{new}'


@pytest.mark.parametrize('chain', ['electrolyte', 'train', 'conductivity'])
def test_an_old_protocol_is_the_new_one(chain):
    for old, new in PROTOCOLS.items():
        with pytest.warns(DeprecationWarning, match=new):
            assert protocol(chain, old) == protocol(chain, new)


def test_an_override_by_an_old_parameter_is_merged_into_the_protocol():
    """At any depth, and the value of the protocol that it does not name stays."""
    with pytest.warns(DeprecationWarning, match='reference'):
        found = new_keys({'reference': {'a': 1, 'b': 2}, 'contrast': {'b': 3}}, ElectrolyteParameters.model_fields)
    assert found == {'reference': {'a': 1, 'b': 3}}


@pytest.mark.parametrize('name', ['hop_length', 'jump_distance'])
def test_a_parameter_without_a_successor_is_ignored(name):
    """In the chains that had it; elsewhere it is a misspelt parameter."""
    parameters = protocol('conductivity', 'demo')
    with pytest.warns(DeprecationWarning, match=name):
        settings = ConductivityParameters.model_validate(parameters | {name: 3.5})
    assert settings == ConductivityParameters.model_validate(parameters)
    with pytest.raises(ValueError, match=name):
        ElectrolyteParameters.model_validate(protocol('electrolyte', 'demo') | {name: 3.5})


def test_a_parameter_without_an_old_name_is_kept():
    assert new_keys({'contrast': 1}, {'contrast', 'reference'}) == {'contrast': 1}
    assert new_keys({'other': 1}, {'reference'}) == {'other': 1}
    assert new_keys(None, {'reference'}) is None
