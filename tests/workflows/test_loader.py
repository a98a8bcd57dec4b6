"""Protocols: merging, presets and refusals."""

from __future__ import annotations

import pytest

from aiida_dpasse.merging import merge
from aiida_dpasse.workflows.protocols.loader import expand_presets, machine, protocol


def test_merge():
    """Mappings are merged key by key; lists and values are replaced; the base stays as it was."""
    base = {'a': {'b': 1, 'c': [1, 2]}, 'd': {'e': 1}}
    assert merge(base, {'a': {'c': [3]}, 'd': None}) == {'a': {'b': 1, 'c': [3]}, 'd': None}
    assert base == {'a': {'b': 1, 'c': [1, 2]}, 'd': {'e': 1}}


def test_unknown_names_are_refused():
    """Unknown protocols, presets and machines are refused with what there is."""
    with pytest.raises(ValueError, match='no protocol `x`: choose one of dpa-sse, moderate, fast, demo'):
        protocol('committee', 'x')
    with pytest.raises(ValueError, match='no training preset `x`'):
        expand_presets({'train': {'preset': 'x'}})
    with pytest.raises(ValueError, match='no machine preset `x`: choose one of local, slurm-gpu'):
        machine('x')


def test_machine_presets():
    """Machines are read by name or taken as they are."""
    assert machine(None) == {}
    assert machine({'md': {}}) == {'md': {}}
    assert machine('slurm-gpu')['md']['custom_scheduler_commands'] == '#SBATCH --gpus=1'
