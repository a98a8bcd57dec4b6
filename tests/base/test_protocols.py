"""Protocols: merging, presets and refusals."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from aiida import orm

from aiida_dpasse.base.protocols import PROTOCOLS, expand_presets, machine, protocol
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.study.electrolyte import ElectrolyteWorkChain

CHAINS = {
    entry.name: entry.load()
    for entry in entry_points(group='aiida.workflows')
    if entry.name.startswith('dpasse.') and hasattr(entry.load(), 'PARAMETERS')
}


@pytest.mark.parametrize('name', PROTOCOLS)
@pytest.mark.parametrize('chain', CHAINS)
def test_protocols_are_complete(chain, name):
    assert check_parameters(CHAINS[chain].PARAMETERS, CHAINS[chain].protocol_parameters(name)) is None


def test_merge():
    """Mappings are merged key by key; lists and values are replaced; the base stays as it was."""
    base = {'a': {'b': 1, 'c': [1, 2]}, 'd': {'e': 1}}
    assert merge(base, {'a': {'c': [3]}, 'd': None}) == {'a': {'b': 1, 'c': [3]}, 'd': None}
    assert base == {'a': {'b': 1, 'c': [1, 2]}, 'd': {'e': 1}}


def test_unknown_names_are_refused():
    """Unknown protocols, presets and machines are refused with what there is."""
    with pytest.raises(ValueError, match='`x`'):
        protocol('committee', 'x')
    with pytest.raises(ValueError, match='`x`'):
        expand_presets({'train': {'preset': 'x'}})
    with pytest.raises(ValueError, match='`x`'):
        machine('x')


def test_machine_presets():
    """Machines are read by name or taken as they are."""
    assert machine(None) == {}
    assert machine({'md': {}}) == {'md': {}}
    assert machine('slurm-gpu')['md']['custom_scheduler_commands'] == '#SBATCH --gpus=1'


@pytest.mark.parametrize('name', PROTOCOLS)
def test_overrides_as_a_node(aiida_profile, name):
    """A node of overrides is laid over the chain's own protocol, as a mapping is."""
    changes = {'conductivity': {'replicas': 5}, 'seed': 3}
    found = ElectrolyteWorkChain.protocol_parameters(name, orm.Dict(changes))
    assert found == ElectrolyteWorkChain.protocol_parameters(name, changes)
    assert (found['conductivity']['replicas'], found['seed'], found['distill_from']) == (5, 3, 'pretrained')
    assert found['reference']['temperatures'] == protocol('electrolyte', name)['reference']['temperatures']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'default': {'queuename': 'gpu'}}, 'options: `default.queuename`'),
        ({'lable': {'queue_name': 'gpu'}}, 'options: .*`lable`'),
        ({'md': 'gpu'}, "options: `md`.*'gpu'"),
    ],
)
def test_misspelt_options(aiida_profile, options, message):
    """A program or an option of the scheduler that does not exist is refused where it is written."""
    builder = ElectrolyteWorkChain.get_builder()
    with pytest.raises(ValueError, match=message):
        builder.options = options


def test_presets_are_options(aiida_profile):
    """What the machine presets say passes the same check."""
    builder = ElectrolyteWorkChain.get_builder()
    for name in ('local', 'slurm-gpu'):
        builder.options = machine(name)
        assert builder.options == machine(name)
