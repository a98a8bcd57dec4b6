"""Rule 3 on real batches: requested = accepted + rejected + failed, and as many frames as the account says."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.label.label import LabelWorkChain
from aiida_dpasse.reports.accounting import batches, unaccounted


@pytest.fixture(scope='module')
def labelled(python_code) -> orm.WorkChainNode:
    """Four frames in two jobs: two near equilibrium, one strained far beyond `max_force`, one with atoms too near."""
    frames = []
    for displacement in (0.05, 0.1, 0.9, 2.4):
        atoms = bulk('Cu', cubic=True)
        atoms.positions[0, 0] += displacement
        frames.append(atoms)
    builder = LabelWorkChain.get_builder_from_protocol(
        {'python': python_code},
        protocol='demo',
        overrides={'batch_size': 2, 'max_force': 5.0, 'minimum_distance': 1.2, 'minimum_success': 0.1},
        frames=FramesData.from_ase(frames),
        calculator=orm.Dict({'name': 'emt'}),
    )
    return run_get_node(builder).node


def test_every_batch_adds_up(labelled):
    assert unaccounted(labelled) == []
    found = batches(labelled)
    assert len(found) >= 3  # the chain and its two jobs
    total = found[0]
    assert (total.requested, total.given) == (4, 4)
    assert total.admitted == total.returned
    assert total.rejected >= 1
    assert total.admitted + total.rejected + total.failed == 4
    assert sum(job.requested for job in found[1:]) == total.requested


def test_every_refused_frame_is_named_with_its_reason(labelled):
    account = labelled.outputs.account
    asked = set(labelled.inputs.frames.ids())
    refused = {entry['id']: entry['reason'] for entry in [*account['rejected'], *account['failed']]}
    assert set(refused) == asked - set(labelled.outputs.frames.ids())
    assert all(refused.values())
