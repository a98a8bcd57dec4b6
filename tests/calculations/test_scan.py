"""Scans as jobs: with a calculator, with a potential, interrupted and continued, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_dpasse.base.jobs import ScanBaseWorkChain
from aiida_dpasse.calculations.scan import ScanCalculation
from aiida_dpasse.landscape.descriptors import free_volume, ranking_descriptor

PAIRS = {'name': 'lj', 'epsilon': 0.1, 'sigma': 2.0, 'rc': 4.0}


@pytest.fixture
def inputs(python_code):
    """Inputs of a scan; keywords change its parameters."""
    salt = orm.StructureData(ase=bulk('LiCl', 'rocksalt', a=5.4, cubic=True))

    def make(labeller: dict | None = None, structure: orm.StructureData | None = None, **changes) -> dict:
        return {
            'code': python_code,
            'structure': structure or salt,
            'parameters': orm.Dict({'spacing': 0.5, **changes}),
            **({'calculator': orm.Dict(PAIRS)} if labeller is None else labeller),
        }

    return make


def test_a_calculator_scans(inputs):
    """Four equivalent ions, of which one is calculated, on a grid that all operations map onto itself."""
    outputs, node = run_get_node(ScanCalculation, **inputs(highest_level=None))
    assert node.is_finished_ok, node.exit_message
    found = outputs['results'].get_dict()
    assert (found['grid'], found['operations'], found['unrelated_ions'], found['ions']) == ([12, 12, 12], 192, 1, 4)
    assert found['energies_of_all_voxels'] == 4 * 12**3
    assert found['energies'] < found['energies_of_all_voxels'] / 100
    energy, level = (outputs['landscape'].get_array(name) for name in ('energy_eV', 'level_eV'))
    assert energy.shape == level.shape == (12, 12, 12)
    assert energy.min() == level.min() == 0.0
    assert (level >= energy).all()
    connected, everything = free_volume(level, 0.5), free_volume(energy, 0.5)
    assert found['xi'] == pytest.approx(ranking_descriptor(connected, everything))
    assert found['mpe_eV'] <= found['percolation_1d_eV'] == found['percolation_3d_eV']
    np.testing.assert_allclose(outputs['landscape'].get_array('cell_A'), np.eye(3) * 5.4)
    # The volume of each axis of a cubic crystal is the same.
    np.testing.assert_allclose(energy, energy.transpose(2, 0, 1), atol=1e-5)


def test_a_potential_scans(inputs, tiny_potential):
    """The same job with DeePMD-kit."""
    outputs, node = run_get_node(ScanCalculation, **inputs({'potential': tiny_potential}))
    assert node.is_finished_ok, node.exit_message
    assert outputs['results']['highest_level_eV'] == 1.0
    assert np.isfinite(outputs['results']['fv_disc'])


def test_an_interrupted_job_is_continued(inputs):
    """A time limit of 5 s leaves no time at all: each job calculates one batch."""
    given = inputs(spacing=1.3, highest_level=None, symmetry=False)
    given['metadata'] = {'options': {'max_wallclock_seconds': 5}}
    outputs, node = run_get_node(ScanCalculation, **given)
    assert node.exit_status == ScanCalculation.exit_codes.ERROR_INTERRUPTED.status
    assert 'results' not in outputs
    more = {**given, 'metadata': {}, 'earlier': outputs['retrieved']}
    outputs, node = run_get_node(ScanCalculation, **more)
    assert node.is_finished_ok, node.exit_message
    assert outputs['results']['energies'] - outputs['results']['calculated_energies'] == 16
    small = inputs(structure=orm.StructureData(ase=bulk('LiCl', 'rocksalt', a=5.4)), spacing=1.3, highest_level=None)
    small['parameters'] = orm.Dict({**small['parameters'].get_dict(), 'symmetry': False})
    small['metadata'] = given['metadata']
    _, chain = run_get_node(ScanBaseWorkChain, job=small)
    assert chain.is_finished_ok, chain.exit_message
    # Of 27 voxels sixteen, and the others.
    assert [child.exit_status for child in chain.called] == [400, 400, 0]


def test_a_calculator_that_fails_is_named(inputs):
    """One that does not know lithium."""
    _, node = run_get_node(ScanCalculation, **inputs({'calculator': orm.Dict({'name': 'emt'})}))
    assert node.exit_status == ScanCalculation.exit_codes.ERROR_CALCULATOR.status
    assert 'Li' in node.exit_message


def test_what_cannot_be_scanned_is_refused(inputs, tiny_potential):
    """Two labellers or none, a missing ion, an unknown element, and parameters outside of their range."""
    both = {'calculator': orm.Dict(PAIRS), 'potential': tiny_potential}
    for labeller, message in (({}, 'neither is given'), (both, 'both are given')):
        with pytest.raises(ValueError, match=message):
            run_get_node(ScanCalculation, **inputs(labeller))
    copper = orm.StructureData(ase=bulk('Cu', cubic=True))
    with pytest.raises(ValueError, match='structure: it holds no Li'):
        run_get_node(ScanCalculation, **inputs(structure=copper))
    bromide = orm.StructureData(ase=bulk('LiBr', 'rocksalt', a=5.4))
    with pytest.raises(ValueError, match=r'potential: .*Br'):
        run_get_node(ScanCalculation, **inputs({'potential': tiny_potential}, bromide))
    for changes, message in (
        ({'highest_level': 0.5}, '`highest_level`'),
        ({'spacing': 0.0}, '`spacing`'),
        ({'ions': 0}, '`ions`'),
        ({'ion': 'Li+'}, '`ion`'),
    ):
        with pytest.raises(ValueError, match=message):
            run_get_node(ScanCalculation, **inputs(**changes))
