"""Rule 1 on real chains: every node has a creator or was given; frames are traced through a cached graph too."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from ase.build import bulk

from aiida_dpasse.label.initial_data import InitialDataWorkChain
from aiida_dpasse.reports.graph import call_tree, entry_point
from aiida_dpasse.reports.lineage import trace_frames
from aiida_dpasse.reports.provenance import orphans

SMALL = {
    'supercell': [1, 1, 1],
    'scales': [1.0],
    'perturbations': {'number': 2, 'cell_fraction': 0.01, 'displacement': 0.05},
    'dynamics': {'steps': 6, 'interval': 3},
    'label': {'batch_size': 1},
}


@pytest.fixture(scope='module')
def chains(python_code) -> list[orm.WorkChainNode]:
    """The same chain twice, the second time from the cache."""
    builder = InitialDataWorkChain.get_builder_from_protocol(
        {'python': python_code},
        protocol='demo',
        overrides=SMALL,
        structures={'cu': orm.StructureData(ase=bulk('Cu', cubic=True))},
        calculator=orm.Dict({'name': 'emt'}),
    )
    with enable_caching():
        return [run_get_node(builder).node for _ in range(2)]


def test_no_node_is_without_creator(chains):
    for chain in chains:
        assert chain.is_finished_ok, chain.exit_message
        assert orphans(chain) == []


def test_the_second_graph_comes_from_the_cache_and_traces_to_its_own_jobs(chains):
    second = chains[1]
    jobs = {call.pk for call in call_tree(second.pk) if call.is_job}
    assert jobs
    assert all(orm.load_node(pk).base.caching.is_created_from_cache for pk in jobs)
    inside = {call.pk for call in call_tree(second.pk)}
    for origin in trace_frames(second.outputs.frames):
        assert set(origin.path) <= inside
        assert origin.label_job in jobs
        if origin.made_by_name == 'perturb_structures':
            assert origin.md is None
        else:
            # A sample of the labeller's own dynamics: its job and the step in it.
            assert origin.md == (origin.label_job, origin.step)
            assert origin.step in (3, 6)
            assert entry_point(orm.load_node(origin.made_by)) == 'dpasse.label'


def test_both_graphs_give_the_same_origin_of_every_frame(chains):
    told = []
    for chain in chains:
        origins = trace_frames(chain.outputs.frames)
        told.append([(origin.frame_id, origin.made_by_name, origin.step) for origin in origins])
    assert told[0] == told[1]
    assert len(told[0]) == 6
