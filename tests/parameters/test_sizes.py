"""A supercell that makes no sense is refused before anything is submitted, wherever it stands in the parameters."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.renamed import ENTRY_POINTS

SIZES = {'supercell': [0, 1, 1], 'supercells': [[1, 1, 1], [[1, 0, 0], [0, 1, 0], [1, 1, 0]]]}


def cases():
    """Yield every chain with the path of every size of a supercell among its parameters."""
    for entry in entry_points(group='aiida.workflows'):
        if entry.name.startswith('dpasse.') and entry.name not in ENTRY_POINTS and hasattr(entry.load(), 'PARAMETERS'):
            chain = entry.load()
            for path in paths(chain.protocol_parameters('balanced')):
                yield pytest.param(chain, path, id=f'{entry.name}-{".".join(path)}')


def paths(tree, prefix=()):
    for key, value in tree.items():
        if key in SIZES:
            yield (*prefix, key)
        elif isinstance(value, dict):
            yield from paths(value, (*prefix, key))


@pytest.mark.parametrize(('chain', 'path'), cases())
def test_an_impossible_supercell_is_refused_by_every_chain(chain, path):
    changes = SIZES[path[-1]]
    for key in reversed(path):
        changes = {key: changes}
    parameters = chain.protocol_parameters('balanced')
    if path == ('supercells',) and 'atoms' in parameters:
        parameters = merge(parameters, {'atoms': None})
    before = check_parameters(chain.PARAMETERS, parameters)
    message = check_parameters(chain.PARAMETERS, merge(parameters, changes))
    assert message != before
    assert '1 or more' in message
