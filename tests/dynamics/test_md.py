"""Dynamics over several jobs: what is joined, and what remains when it ends badly."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.calculations import md as calculation
from aiida_dpasse.calculations.md_stops import DEVIATION, STOPS
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.dynamics.md import MDBaseWorkChain
from aiida_dpasse.dynamics.merge_segments import merge_segments
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.parameters.md import MDParameters
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import write_report

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
    monkeypatch.setattr(calculation, 'time_to_run', lambda walltime: next(seconds))
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
    assert list(outputs['trajectories']) == ['segment_0000', 'segment_0001']
    assert outputs['trajectories']['segment_0000'].uuid == first.outputs.remote_folder.uuid
    paths = [f'{folder.get_remote_path()}/trajectory.lammpstrj' for folder in outputs['trajectories'].values()]
    assert [step for step, _, _ in DumpReader(paths)] == list(range(0, 5001, 10))
    assert second.inputs.restart_folder.uuid == first.outputs.remote_folder.uuid


def test_a_run_that_advances_is_never_given_up(inputs, monkeypatch):
    """Five segments where two may end without getting further."""
    seconds = iter([1, 1, 1, 1, None])
    monkeypatch.setattr(calculation, 'time_to_run', lambda walltime: next(seconds))
    outputs, node = run_get_node(MDBaseWorkChain, **inputs(max_iterations=2, steps=15000, sample_interval=100))
    assert node.is_finished_ok, node.exit_message
    results = outputs['results'].get_dict()
    assert (results['step'], results['segments']) == (15000, 5)
    steps = np.concatenate([item.steps for item in outputs['frames'].sets()])
    assert steps.tolist() == list(range(0, 15001, 100))


def test_segments_that_get_no_further_are_given_up(inputs, localhost):
    broken = orm.InstalledCode(computer=localhost, filepath_executable='/bin/false', label='no-lmp').store()
    given = inputs(max_iterations=2)
    given['md']['code'] = broken
    _, node = run_get_node(MDBaseWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_NO_PROGRESS.status
    assert '2 consecutive segments' in node.exit_message
    assert calculation.MDCalculation.exit_codes.ERROR_OUTFILE_MISSING.message in node.exit_message
    assert len(node.called) == 2


@pytest.fixture
def meddling(lmp_code, localhost, tmp_path):
    """LAMMPS, and a line of shell after it, which does something to its output in the first run alone or in all."""

    def make(line: str, always: bool = False) -> orm.InstalledCode:
        done = tmp_path / 'done'
        script = tmp_path / 'lmp'
        once = '' if always else f'[ -e {done} ] || '
        program = lmp_code.filepath_executable
        script.write_text(f'#!/bin/bash\n{lmp_code.prepend_text}\n{program} "$@"\n{once}{{ {line}; }}\ntouch {done}\n')
        script.chmod(0o755)
        return orm.InstalledCode(computer=localhost, filepath_executable=str(script), label=f'lmp-{always}').store()

    return make


#: Nine of forty-one frames, as a full disk leaves them.
CUT = 'head -n 189 samples.lammpstrj > part; mv part samples.lammpstrj'


def test_frames_that_are_missing_are_noticed_and_the_segment_runs_again(inputs, meddling):
    given = inputs(steps=40, sample_interval=1)
    given['md']['code'] = meddling(CUT)
    outputs, node = run_get_node(MDBaseWorkChain, **given)
    assert node.is_finished_ok, node.exit_message
    first, second = node.called
    assert first.exit_status == calculation.MDCalculation.exit_codes.ERROR_DAMAGED_OUTPUT.status
    assert '9 of 41' in first.exit_message
    assert first.outputs.frames.frames == 9
    assert outputs['frames'].uuid == second.outputs.frames.uuid
    assert outputs['frames'].frames == 41


def test_a_trajectory_that_lacks_frames_is_run_again(inputs, meddling):
    given = inputs(steps=40, sample_interval=None, trajectory_interval=1)
    given['md']['code'] = meddling(CUT.replace('samples', 'trajectory'))
    outputs, node = run_get_node(MDBaseWorkChain, **given)
    assert node.is_finished_ok, node.exit_message
    first, second = node.called
    assert '9 of 41' in first.exit_message
    assert [folder.uuid for folder in outputs['trajectories'].values()] == [second.outputs.remote_folder.uuid]


def test_frames_that_are_always_missing_end_with_their_sentence(inputs, meddling):
    given = inputs(max_iterations=2, steps=40, sample_interval=1)
    given['md']['code'] = meddling(CUT, always=True)
    outputs, node = run_get_node(MDBaseWorkChain, **given)
    assert node.exit_status == calculation.MDCalculation.exit_codes.ERROR_DAMAGED_OUTPUT.status
    assert '9 of 41' in node.exit_message
    assert outputs['frames'].frames == 9


#: The end of the output is missing, or all of it.
HALF = 'rm last.lammpstrj; sed -n "/^ *20 /q;p" lammps.out > part; mv part lammps.out'
NOTHING = 'rm last.lammpstrj; : > lammps.out'


@pytest.mark.parametrize(('status', 'lost'), [(110, HALF), (120, HALF), (140, HALF), (140, NOTHING), (110, NOTHING)])
def test_the_exit_code_of_the_scheduler_is_kept(inputs, meddling, monkeypatch, status, lost):
    """The scheduler says why the first segment lost its output, and the second brings the run to its end."""
    codes = {code.status: code for code in calculation.MDCalculation.exit_codes.values()}
    found = iter([codes[status], None])
    monkeypatch.setattr(calculation.MDCalculation, 'parse_scheduler_output', lambda self, retrieved: next(found))
    given = inputs(steps=40)
    given['md']['code'] = meddling(lost)
    _, node = run_get_node(MDBaseWorkChain, **given)
    first, second = [child for child in node.called if isinstance(child, orm.CalcJobNode)]
    assert (first.exit_status, second.exit_status) == (status, 0)
    if lost == HALF:
        assert first.outputs.results['step'] == 10
    assert node.is_finished_ok, node.exit_message


def test_memory_that_is_too_small_twice_ends_with_what_to_change(inputs, meddling, monkeypatch):
    memory = calculation.MDCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY
    monkeypatch.setattr(calculation.MDCalculation, 'parse_scheduler_output', lambda self, retrieved: memory)
    given = inputs(steps=40)
    given['md']['code'] = meddling(NOTHING, always=True)
    _, node = run_get_node(MDBaseWorkChain, **given)
    assert [child.exit_status for child in node.called if isinstance(child, orm.CalcJobNode)] == [110, 110]
    assert node.exit_status == memory.status
    assert '`max_memory_kb`' in node.exit_message


def test_a_whole_run_is_one_whatever_the_scheduler_says(inputs, monkeypatch):
    late = calculation.MDCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME
    monkeypatch.setattr(calculation.MDCalculation, 'parse_scheduler_output', lambda self, retrieved: late)
    _, node = run_get_node(MDBaseWorkChain, **inputs())
    assert node.is_finished_ok, node.exit_message
    assert len(node.called) == 1


def test_the_error_of_lammps_arrives_with_its_own_words(inputs, meddling):
    given = inputs()
    given['md']['code'] = meddling(
        'echo "ERROR: Variable way: Divide by 0 in variable formula (src/variable.cpp:1)" >&1', True
    )
    _, node = run_get_node(MDBaseWorkChain, **given)
    assert node.exit_status == calculation.MDCalculation.exit_codes.ERROR_LAMMPS_FAILED.status
    assert 'Variable way: Divide by 0 in variable formula' in node.exit_message


def test_an_explosion_ends_with_the_frames_before_it(inputs):
    wild = {'ensemble': 'nve', 'temperature': 1e5, 'timestep': 1000.0, 'steps': 200, 'sample_interval': 1}
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
    assert outputs['results']['verdict'] == STOPS[DEVIATION].verdict
    [chosen] = outputs['candidates'].sets()
    # Those before the monitor came, which may be before the run had ended by itself.
    assert set(chosen.deviations) <= set(values[values > limit])
    assert set(chosen.sources) == {'samples__md_0000'}
    assert all(reason.startswith('deviation between') for reason in chosen.reasons)
    assert orphans(node) == []
    assert [path.name for path in write_report(node, tmp_path)] == ['dynamics.png', 'provenance.svg', 'report.txt']
    assert STOPS[DEVIATION].verdict in (tmp_path / 'report.txt').read_text()
    # Without such frames the output is absent, and the run succeeds.
    outputs, node = run_get_node(MDBaseWorkChain, **inputs(watch={'deviation': {**trust, 'limit': 100.0}}))
    assert node.is_finished_ok, node.exit_message
    assert 'candidates' not in outputs


def test_a_melted_run_is_not_tried_again(inputs):
    watch = {'mobile': ['Li'], 'framework_displacement': 0.01}
    outputs, node = run_get_node(MDBaseWorkChain, **inputs(steps=200, trajectory_interval=5, watch=watch))
    assert node.exit_status == EXIT.ERROR_MELTED.status
    assert '0.01 A' in node.exit_message
    assert len(node.called) == 1
    assert list(outputs['trajectories']) == ['segment_0000']


def test_overlapping_segments_count_once(aiida_profile, make_frames):
    first, second = make_frames(seed=1), make_frames(seed=2)
    results = {'step': 30, 'production_start': 0, 'atom_steps': 10, 'loop_time_s': 1.0, 'frames_dropped': 1}
    results |= {'wall_time_s': None, 'atoms': 3, 'mass_u': 46.0, 'timestep_fs': 1.0}
    merged = merge_segments(
        frames={
            's0': FramesData.from_sets([first.with_origin(steps=[0, 10, 20])]),
            's1': FramesData.from_sets([second.with_origin(steps=[20, 30, 40])]),
        },
        results={'s0': orm.Dict(results), 's1': orm.Dict(results | {'step': 40})},
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
    for name in ('dpa-sse', 'balanced', 'fast', 'demo'):
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
