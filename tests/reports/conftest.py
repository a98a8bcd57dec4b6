"""The made-up study, stored once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from aiida import orm

sys.path.insert(0, str(Path(__file__).parent))

from made_up_nodes import Graph
from made_up_study import Study


@pytest.fixture(scope='session')
def graph(localhost) -> Graph:
    """Stores made-up processes."""
    return Graph(localhost)


@pytest.fixture(scope='session')
def study(graph, tmp_path_factory) -> orm.WorkChainNode:
    """The whole chain, as it ends."""
    return Study(graph, tmp_path_factory.mktemp('potentials')).build()
