"""Dynamics over several jobs: what is joined, and what remains when it ends badly."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.calculations import md as calculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.functions.merge_segments import merge_segments
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import write_report
from aiida_dpasse.workflows.md import MDBaseWorkChain

EXIT = MDBaseWorkChain.exit_codes
NVT = {'ensemble': 'nvt', 'temperature': 300.0, 'steps': 20, 'thermo_interval': 10, 'sample_interval': 10, 'seed': 7}


@pytest.fixture
def inputs(lmp_code, crystal, tiny_potentials):
    """Inputs of the chain; keywords change the parameters of its dynamics."""

    def make(options: dict | None = None, max_iterations: int = 3, **changes) -> dict:
        return {
            'md': {
                'code': lmp_code,
                'structure': crystal,
                'potentials': tiny_potentials,
                'parameters': orm.Dict(NVT | changes),
                'metadata': {'options': options or {}},
            },
            'max_iterations': orm.Int(max_iterations),
        }

    return make


def test_one_segment_is_handed_through(inputs):
    outputs, node = run_get_node(MDBaseWorkChain, **inputs())
    assert node.is_finished_ok, node.exit_message
    [child] = node.called
    assert outputs['frames'].uuid == child.outputs.frames.uuid
    assert {'frames', 'thermo', 'deviation', 'structure', 'results', 'remote_folder'} <= set(outputs)
    assert 'trajectories' not in outputs


def test_a_run_stopped_by_the_clock_ends_where_an_undisturbed_one_ends(inputs, monkeypatch):
    seconds = iter([1, None])
    monkeypatch.setattr(calculation, '_time_to_run', lambda walltime: next(seconds))
    outputs, node = run_get_node(MDBaseWorkChain, **inputs(steps=5000, trajectory_interval=10))
    assert node.is_finished_ok, node.exit_message
    first, second = (child for child in node.called if isinstance(child, orm.CalcJobNode))
    assert first.exit_status == calculation.MDCalculation.exit_codes.ERROR_INTERRUPTED.status
    results = outputs['results'].get_dict()
    assert (results['step'], results['steps'], results['segments']) == (5000, 5000, 2)
    assert results['atom_steps'] == 12 * 5000
    [merge] = [child for child in node.called if child.process_label == 'merge_segments']
    assert outputs['frames'].creator == merge
    steps = np.concatenate([item.steps for item in outputs['frames'].sets()])
    assert steps.tolist() == list(range(0, 5001, 10))
    assert np.isfinite(np.concatenate([item.deviations for item in outputs['frames'].sets()])).all()
    table = outputs['thermo'].get_array('step')
    assert set(range(0, 5001, 10)) <= set(table)
    assert (np.diff(table) > 0).all()
    assert (np.diff(outputs['deviation'].get_array('step')) > 0).all()
    assert list(outputs['trajectories']) == ['segment_00', 'segment_01']
    assert outputs['trajectories']['segment_00'].uuid == first.outputs.remote_folder.uuid
    paths = [f'{folder.get_remote_path()}/trajectory.lammpstrj' for folder in outputs['trajectories'].values()]
    assert [step for step, _, _ in DumpReader(paths)] == list(range(0, 5001, 10))
    assert second.inputs.restart_folder.uuid == first.outputs.remote_folder.uuid


def test_too_few_segments_leave_what_they_did(inputs):
    given = inputs(options={'max_wallclock_seconds': 6}, max_iterations=2, steps=10_000_000, sample_interval=100)
    outputs, node = run_get_node(MDBaseWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_MAXIMUM_ITERATIONS_EXCEEDED.status
    results = outputs['results'].get_dict()
    assert results['segments'] == 2
    assert 0 < results['step'] < 10_000_000
    assert outputs['frames'].frames == results['frames'] > 0


def test_an_explosion_ends_with_the_frames_before_it(inputs):
    wild = {'ensemble': 'nve', 'temperature': 1e8, 'timestep': 50.0, 'steps': 200, 'sample_interval': 1}
    outputs, node = run_get_node(MDBaseWorkChain, **inputs(**wild))
    assert node.exit_status == EXIT.ERROR_EXPLODED.status
    assert outputs['frames'].frames >= 1
    assert len(node.called) == 1


def test_frames_beyond_the_trust_are_candidates(inputs, tmp_path):
    free, _ = run_get_node(MDBaseWorkChain, **inputs())
    values = np.concatenate([item.deviations for item in free['frames'].sets()])
    # Between the smallest and the largest deviation some frames are beyond the limit and others are not.
    limit = float((values.min() + values.max()) / 2)
    trust = {'limit': limit, 'rows': 1, 'high': 1e3}
    outputs, node = run_get_node(MDBaseWorkChain, **inputs(watch={'deviation': trust}))
    assert node.exit_status == EXIT.ERROR_LEFT_TRUST.status
    assert 'label the candidates and train on them' in node.exit_message
    assert outputs['results']['verdict'] == "left the committee's trust"
    [chosen] = outputs['candidates'].sets()
    # Those before the monitor came, which may be before the run had ended by itself.
    assert set(chosen.deviations) <= set(values[values > limit])
    assert set(chosen.sources) == {'md'}
    assert all(reason.startswith('deviation between') for reason in chosen.reasons)
    assert orphans(node) == []
    assert [path.name for path in write_report(node, tmp_path)] == ['dynamics.png', 'provenance.svg', 'report.txt']
    assert "left the committee's trust" in (tmp_path / 'report.txt').read_text()
    # Without such frames there is no such output, and the run ends well.
    outputs, node = run_get_node(MDBaseWorkChain, **inputs(watch={'deviation': {**trust, 'limit': 100.0}}))
    assert node.is_finished_ok, node.exit_message
    assert 'candidates' not in outputs


def test_a_melted_run_is_not_tried_again(inputs):
    watch = {'mobile': ['Li'], 'framework_displacement': 0.01}
    outputs, node = run_get_node(MDBaseWorkChain, **inputs(steps=200, trajectory_interval=5, watch=watch))
    assert node.exit_status == EXIT.ERROR_MELTED.status
    assert 'A from its sites, more than 0.01 A' in node.exit_message
    assert len(node.called) == 1
    assert list(outputs['trajectories']) == ['segment_00']


def test_overlapping_segments_count_once(aiida_profile, make_frames):
    first, second = make_frames(seed=1), make_frames(seed=2)
    results = {'step': 30, 'production_start': 0, 'atom_steps': 10, 'loop_time_s': 1.0, 'frames_dropped': 1}
    results |= {'wall_time_s': None, 'atoms': 3, 'mass_u': 46.0, 'timestep_fs': 1.0}
    merged = merge_segments(
        frames_00=FramesData.from_sets([first.with_origin(steps=[0, 10, 20])]),
        frames_01=FramesData.from_sets([second.with_origin(steps=[20, 30, 40])]),
        results_00=orm.Dict(results),
        results_01=orm.Dict(results | {'step': 40}),
    )
    steps = [step for item in merged['frames'].sets() for step in item.steps.tolist()]
    assert steps == [0, 10, 20, 30, 40]
    expected = [*first.ids[:2], *second.ids]
    assert merged['frames'].ids() == expected
    found = merged['results'].get_dict()
    assert (found['step'], found['frames'], found['frames_dropped'], found['atom_steps']) == (40, 5, 2, 20)
    assert found['katom_steps_per_s'] == pytest.approx(0.01)
    assert found['wall_time_s'] is None


def test_protocols_are_possible_runs(inputs):
    for name in ('dpa-sse', 'moderate', 'fast', 'demo'):
        MDParameters.model_validate(MDBaseWorkChain.protocol_parameters(name))
    given = inputs()['md']
    builder = MDBaseWorkChain.get_builder_from_protocol(
        given['code'],
        given['structure'],
        given['potentials'],
        protocol='demo',
        overrides={'temperature': 900},
        options={'default': {'withmpi': False}, 'md': {'max_wallclock_seconds': 60}},
    )
    assert builder.md.parameters['temperature'] == 900
    assert builder.md.parameters['equilibration'] == {'ensemble': 'npt', 'steps': 500}
    assert builder.md.metadata.options['max_wallclock_seconds'] == 60
