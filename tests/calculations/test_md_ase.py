"""Dynamics with an ASE calculator as a job, and what is refused."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_dpasse.calculations.md_ase import AseMDCalculation
from aiida_dpasse.calculations.transport import TransportCalculation
from aiida_dpasse.lammps.watch import KEPT

EXIT = AseMDCalculation.exit_codes
NVT = {'ensemble': 'nvt', 'temperature': 300.0, 'steps': 60, 'thermo_interval': 10, 'trajectory_interval': 2, 'seed': 4}


@pytest.fixture
def inputs(python_code):
    """Inputs of a run; keywords change its parameters."""
    atoms = bulk('Cu', cubic=True, a=3.8) * (2, 1, 1)
    atoms.symbols[[0, 3, 4]] = 'Au'

    def make(**changes):
        return {
            'code': python_code,
            'structure': orm.StructureData(ase=atoms),
            'calculator': orm.Dict({'name': 'emt'}),
            'parameters': orm.Dict(NVT | changes),
        }

    return make


def test_a_run_is_analysed_like_any_other(inputs, python_code):
    given = inputs(equilibration={'ensemble': 'nvt', 'steps': 10})
    outputs, node = run_get_node(AseMDCalculation, **given)
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert (results['step'], results['production_start'], results['atoms']) == (70, 10, 8)
    assert results['verdict'] == KEPT
    assert results['density_g_cm3'] == pytest.approx(1.66054 * results['mass_u'] / 109.744, rel=1e-4)
    assert results['temperature_mean_K'] > 50
    assert outputs['thermo'].get_array('step').tolist() == list(range(0, 71, 10))
    _, analysis = run_get_node(
        TransportCalculation,
        code=python_code,
        trajectories={'segment_00': outputs['remote_folder']},
        structure=given['structure'],
        parameters=orm.Dict({'ion': 'Cu', 'timestep': 1.0}),
    )
    assert analysis.is_finished_ok, analysis.exit_message
    found = analysis.outputs.results.get_dict()
    assert (found['frames'], found['ions'], found['interval_ps']) == (31, 5, 0.002)
    assert 0 < found['framework_displacement_A'] < 0.5


def test_a_limit_has_its_exit_code(inputs):
    outputs, node = run_get_node(AseMDCalculation, **inputs(watch={'heating': 1e-6}))
    assert node.exit_status == EXIT.ERROR_HEATED.status
    assert '300 K' in node.exit_message
    assert outputs['results']['verdict'] == 'heated up'


def test_a_calculator_that_fails(inputs):
    _, node = run_get_node(AseMDCalculation, **inputs() | {'calculator': orm.Dict({'name': 'nowhere:Nothing'})})
    assert node.exit_status == EXIT.ERROR_CALCULATOR.status
    assert 'nowhere' in node.exit_message


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'ensemble': 'npt'}, '`ensemble`'),
        ({'equilibration': {'ensemble': 'npt', 'steps': 10}}, '`ensemble`'),
        ({'sample_interval': 10}, r'`sample_interval`.*`watch.deviation`'),
        ({'final_temperature': 900.0}, '`final_temperature`'),
        ({'steps': 0}, '`steps`'),
    ],
)
def test_what_a_calculator_cannot_do_is_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(AseMDCalculation, **inputs(**changes))
