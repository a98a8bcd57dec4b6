"""The training chain with the real `dp`: carried on when killed, slowed down when diverged, a smaller batch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory
from aiida.schedulers.plugins.direct import DirectScheduler

from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.lcurve import LearningCurve
from aiida_dpasse.train.train import TrainBaseWorkChain

CODES = TrainCalculation.exit_codes


@pytest.fixture(scope='module')
def frames(aiida_profile, pair_frames) -> FramesData:
    """Labelled frames of two compositions."""
    return FramesData.from_sets(pair_frames).store()


def run(code: orm.AbstractCode, frames: FramesData, content: dict, iterations: int = 3, **changes) -> orm.WorkChainNode:
    """Run the chain, in TensorFlow by default, without freezing."""
    further = {name: changes.pop(name) for name in ('validation_data', 'restart_folder', 'torchrun') if name in changes}
    chain = {name: changes.pop(name) for name in ('stash_to',) if name in changes}
    parameters = {'backend': 'tensorflow', 'input': content, 'freeze': False, **changes}
    train = {'code': code, 'training_data': frames, 'parameters': orm.Dict(parameters), **further}
    return run_get_node(WorkflowFactory('dpasse.train.base'), train=train, max_iterations=iterations, **chain)[1]


def jobs_of(node: orm.WorkChainNode) -> list[orm.CalcJobNode]:
    """Return the trainings of a chain in their order."""
    return sorted((child for child in node.called if isinstance(child, orm.CalcJobNode)), key=lambda child: child.pk)


def test_killed_three_times(wrapped, dp_code, frames, other_pair_frames, tiny_input, tmp_path):
    """Killed three times, a training ends as undisturbed ones do: step, rate, one curve, errors of held-out frames."""
    code = wrapped(
        f'kills=$(ls {tmp_path} | grep -c killed)\n'
        'case $kills in 0) at=20;; 1) at=50;; 2) at=80;; *) exec "$dp" "$@";; esac\n'
        '"$dp" "$@" &\n'
        'until [ -e model.ckpt-$at.pt ] || ! kill -0 $!; do sleep 0.02; done\n'
        f'kill -9 $!; touch {tmp_path}/killed-$kills'
    )
    content = tiny_input('se_e2_a', 120)
    content['learning_rate'] = {'type': 'exp', 'start_lr': 5e-3, 'stop_lr': 1e-4, 'decay_steps': 10}
    content['training'] |= {'save_freq': 10, 'disp_freq': 5, 'validation_data': {'batch_size': 4, 'numb_btch': 4}}
    held_out = FramesData.from_sets(other_pair_frames)
    given = {'backend': 'pytorch', 'validation_data': held_out.store()}
    # Runs that get further do not count: one run without progress would be one too many.
    node = run(code, frames, content, iterations=1, seed=1, **given)
    assert node.is_finished_ok, node.exit_message
    jobs = jobs_of(node)
    assert [job.exit_status for job in jobs] == [*[CODES.ERROR_INTERRUPTED.status] * 3, 0]
    for before, after in pairwise(jobs):
        assert after.inputs.restart_folder.uuid == before.outputs.remote_folder.uuid
        assert after.inputs.parameters.uuid == before.inputs.parameters.uuid
        # A checkpoint that was written but not yet named may be taken too, none is lost.
        assert after.outputs.results['restarted_from'] >= before.outputs.results['checkpoint_step'] > 0

    undisturbed = [run(dp_code, frames, content, seed=seed, **given) for seed in (2, 3)]
    curves = [item.outputs.learning_curve for item in (node, *undisturbed)]
    merged = curves[0]
    assert merged.creator.process_label == 'merge_learning_curves'
    assert set(merged.creator.inputs) == {f'curve_{index:03d}' for index in range(4)}
    assert merged.get_array('step').tolist() == [1, *range(5, 121, 5)]
    for name in ('step', 'lr'):
        assert all(curve.get_array(name).tolist() == merged.get_array(name).tolist() for curve in curves)
    assert node.outputs.checkpoint.step == undisturbed[0].outputs.checkpoint.step == 120
    # The forces carry the loss; the energies of so short a training scatter more between seeds than the effect.
    killed, *others = [float(curve.get_array('rmse_f_val')[-5:].mean()) for curve in curves]
    assert killed < merged.get_array('rmse_f_val')[0]
    # Two seeds can agree by chance.
    spread = max(max(others) - min(others), 0.1 * max(others))
    assert min(others) - spread <= killed <= max(others) + spread, (killed, others)


def test_killed_after_its_last_checkpoint(wrapped, frames, tiny_input):
    """A training that has its last checkpoint is one, also if its program was killed with all that it had to print."""
    code = wrapped('case "$*" in *train*) "$dp" "$@" >/dev/null 2>&1; kill -9 $$;; *) exec "$dp" "$@";; esac')
    node = run(code, frames, tiny_input('se_e2_a', 8), freeze=True)
    assert node.is_finished_ok, node.exit_message
    [job] = jobs_of(node)
    assert job.outputs.results['finished']
    assert job.outputs.results['checkpoint_step'] == 8
    assert node.outputs.frozen.form == 'frozen'


def test_killed_without_a_word_before_its_end(wrapped, frames, tiny_input, tmp_path):
    """A potential frozen from an earlier checkpoint is not a result."""
    code = wrapped(
        f'case "$*" in *train*) [ -e {tmp_path}/killed ] && exec "$dp" "$@";; *) exec "$dp" "$@";; esac\n'
        '"$dp" "$@" >/dev/null 2>&1 &\n'
        'until [ -e model.ckpt-200.meta ] || ! kill -0 $!; do sleep 0.02; done\n'
        f'kill -9 $!; touch {tmp_path}/killed'
    )
    content = tiny_input('se_e2_a', 800)
    content['training'] |= {'save_freq': 100, 'disp_freq': 50}
    node = run(code, frames, content)
    assert node.is_finished_ok, node.exit_message
    assert [job.exit_status for job in jobs_of(node)] == [CODES.ERROR_INTERRUPTED.status, 0]


def test_carried_on_in_tensorflow(wrapped, frames, tiny_input, tmp_path):
    """The same in TensorFlow, once; what is left on the computer is kept where it was asked for."""
    code = wrapped(
        f'if [ -e {tmp_path}/killed ]; then exec "$dp" "$@"; fi\n'
        '"$dp" "$@" &\n'
        'until [ -e model.ckpt-200.meta ] || ! kill -0 $!; do sleep 0.05; done\n'
        f'kill -9 $!; touch {tmp_path}/killed'
    )
    content = tiny_input('se_e2_a', 800)
    content['training'] |= {'save_freq': 100, 'disp_freq': 50}
    stash = tmp_path / 'kept'
    node = run(code, frames, content, stash_to=str(stash))
    assert node.is_finished_ok, node.exit_message
    assert [job.exit_status for job in jobs_of(node)[:2]] == [CODES.ERROR_INTERRUPTED.status, 0]
    steps = node.outputs.learning_curve.get_array('step')
    assert steps.tolist() == list(range(0, 801, 50))
    assert np.isfinite(node.outputs.learning_curve.get_array('rmse_f_trn')).all()
    kept = {path.name for path in Path(node.outputs.stash.target_basepath).iterdir()}
    assert {'model.ckpt-800.index', 'checkpoint', 'lcurve.out'} <= kept
    assert str(node.outputs.stash.target_basepath).startswith(str(stash))


def test_ends_when_the_held_out_error_is_flat(dp_code, frames, other_pair_frames, tiny_input):
    """Long before its last step, and frozen all the same; nothing is started again."""
    content = tiny_input('se_e2_a', 10**6)
    content['training'] |= {'save_freq': 60, 'disp_freq': 20, 'validation_data': {'numb_btch': 4}}
    # Checkpoints that are written faster than they are looked at do not keep it from its end.
    stop = {'window': 300, 'improvement': 0.9}
    held_out = FramesData.from_sets(other_pair_frames)
    node = run(dp_code, frames, content, validation_data=held_out.store(), early_stop=stop, freeze=True)
    assert node.is_finished_ok, node.exit_message
    [job] = jobs_of(node)
    results, curve = job.outputs.results, node.outputs.learning_curve
    assert not results['finished']
    assert 300 <= results['stopped_early'] <= curve.get_array('step')[-1] < 10**6
    errors = curve.get_array('rmse_f_val')[curve.get_array('step') <= results['stopped_early']]
    assert errors[-15:].min() > 0.1 * errors[:-15].min()
    assert node.outputs.frozen.form == 'frozen'
    with pytest.raises(ValueError, match='validation_data: `early_stop`'):
        run(dp_code, frames, content, early_stop=stop)


def test_no_progress(wrapped, frames, tiny_input):
    """A training that never comes to its first checkpoint is given up, with what to do."""
    code = wrapped('"$dp" "$@" &\nuntil [ -e lcurve.out ]; do sleep 0.05; done\nkill -9 $!')
    node = run(code, frames, tiny_input('se_e2_a', 10**6), iterations=1)
    assert [job.exit_status for job in jobs_of(node)] == [CODES.ERROR_INTERRUPTED.status]
    assert node.exit_status == TrainBaseWorkChain.exit_codes.ERROR_NO_PROGRESS.status, node.exit_message
    assert '`training.save_freq`' in node.exit_message


def test_learns_slower(dp_code, pair_frames, tiny_input):
    """A loss that is not finite: started anew, with a learning rate whose creator is a calcfunction."""
    wrong = [item.with_labels(item.energies, item.forces * 1e153, item.virials) for item in pair_frames]
    node = run(dp_code, FramesData.from_sets(wrong), tiny_input('se_e2_a', 8), iterations=2)
    assert node.exit_status == CODES.ERROR_DIVERGED.status
    assert 'lower `learning_rate.start_lr`' in node.exit_message
    trainings = jobs_of(node)
    assert [child.exit_status for child in trainings] == [CODES.ERROR_DIVERGED.status] * 2
    last = trainings[-1]
    assert last.inputs.parameters['input']['learning_rate']['start_lr'] == pytest.approx(3e-4)
    assert last.inputs.parameters.creator.process_label == 'lower_learning_rate'
    assert 'restart_folder' not in last.inputs


def test_goes_back_before_the_divergence(dp_code, frames, tiny_input):
    """A rate that grows until the training is lost: it goes on, slower, from a checkpoint of before that."""
    content = tiny_input('se_e2_a', 70)
    # Without saturation the forces grow with a power of the weights: what is lost at one rate is calm at 0.3 of it.
    for section, sizes in (('descriptor', {}), ('fitting_net', {'neuron': [8, 8]})):
        content['model'][section] = {**content['model'][section], 'activation_function': 'linear', **sizes}
    content['learning_rate'] = {'type': 'exp', 'start_lr': 0.7, 'stop_lr': 0.1, 'decay_steps': 5, 'warmup_steps': 60}
    content['training'] |= {'save_freq': 5, 'disp_freq': 2, 'max_ckpt_keep': 30}
    node = run(dp_code, frames, content)
    assert node.is_finished_ok, node.exit_message
    lost, mended = jobs_of(node)
    assert (lost.exit_status, mended.exit_status) == (CODES.ERROR_DIVERGED.status, 0)
    limit = mended.inputs.restart_step
    assert limit.creator.process_label == 'last_good_step'
    assert mended.inputs.restart_folder.uuid == lost.outputs.remote_folder.uuid
    curve = lost.outputs.learning_curve
    columns = LearningCurve({name: curve.get_array(name) for name in curve.get_arraynames()})
    assert 5 <= mended.outputs.results['restarted_from'] <= limit.value < columns.first_diverged
    assert mended.inputs.parameters['input']['learning_rate']['start_lr'] == pytest.approx(0.21)
    # The whole curve is judged by its first rows, as a job's own may be lost already.
    whole = node.outputs.learning_curve
    columns = LearningCurve({name: whole.get_array(name) for name in whole.get_arraynames()})
    assert columns.steps[-1] == 70
    assert not columns.diverged


def test_smaller_batch(wrapped, frames, tiny_input):
    """Out of memory: half the batch, until it fits or there is nothing left to halve."""
    # A machine that holds no batch of more than one frame.
    code = wrapped(
        'if grep -q \'"batch_size": 1,\' input.json; then exec "$dp" "$@"; fi\n'
        'echo "terminate called: std::bad_alloc"; exit 1'
    )
    content = tiny_input('se_e2_a', 8)
    content['training']['training_data'] = {'batch_size': 2}
    node = run(code, frames, content)
    assert node.is_finished_ok, node.exit_message
    trainings = jobs_of(node)
    assert [child.exit_status for child in trainings] == [CODES.ERROR_OUT_OF_MEMORY.status, 0]
    assert trainings[1].inputs.parameters['input']['training']['training_data']['batch_size'] == 1


def test_nothing_left_to_halve(wrapped, frames, tiny_input):
    """Out of memory with one frame: the chain ends with a separate exit code."""
    code = wrapped('echo "std::bad_alloc"; exit 1')
    node = run(code, frames, tiny_input('se_e2_a', 8))
    assert node.exit_status == TrainBaseWorkChain.exit_codes.ERROR_CANNOT_BE_HELPED.status
    assert 'out of memory with the smallest batch' in node.exit_message


def test_killed_while_it_starts(wrapped, frames, tiny_input, tmp_path):
    """Killed before it has printed anything: it begins anew; killed so again and again, it is given up."""
    once = f'if [ -e {tmp_path}/killed ]; then exec "$dp" "$@"; fi\ntouch {tmp_path}/killed\nkill -9 $$'
    # What is set to None is not given.
    node = run(wrapped(once), frames, tiny_input('se_e2_a', 8), validation_data=None, restart_folder=None)
    assert node.is_finished_ok, node.exit_message
    assert [job.exit_status for job in jobs_of(node)] == [CODES.ERROR_NO_LEARNING_CURVE.status, 0]
    # Another seed, or the cache has it.
    node = run(wrapped('kill -9 $$'), frames, tiny_input('se_e2_a', 8), iterations=2, seed=2)
    assert [job.exit_status for job in jobs_of(node)] == [CODES.ERROR_NO_LEARNING_CURVE.status] * 2
    assert node.exit_status == TrainBaseWorkChain.exit_codes.ERROR_NO_PROGRESS.status


@pytest.mark.parametrize(
    ('backend', 'program', 'names'),
    [('tensorflow', 'freeze', ('frozen',)), ('pytorch', 'compress', ('checkpoint', 'compressed'))],
)
def test_killed_while_it_freezes(wrapped, frames, tiny_input, tmp_path, backend, program, names):
    """What was trained is frozen, or compressed, by the next run, and not a step is trained again."""
    code = wrapped(
        f'[[ " $* " == *" train "* ]] && echo run >> {tmp_path}/trained\n'
        f'if [ -e {tmp_path}/killed ]; then exec "$dp" "$@"; fi\n'
        # The log of the step appears as it begins; then the whole job is killed.
        f'"$dp" "$@" &\nuntil [ -e {program}.out ] || ! kill -0 $!; do sleep 0.02; done\n'
        f'touch {tmp_path}/killed; kill -9 $! $PPID'
    )
    given = {'backend': backend, 'freeze': True, 'compress': program == 'compress'}
    node = run(code, frames, tiny_input('se_e2_a', 8), iterations=1, **given)
    assert node.is_finished_ok, node.exit_message
    first, second = jobs_of(node)
    assert [first.exit_status, second.exit_status] == [CODES.ERROR_NO_POTENTIAL.status, 0]
    assert second.inputs.finished_folder.uuid == first.outputs.remote_folder.uuid
    assert (tmp_path / 'trained').read_text() == 'run\n'
    for name in (*names, 'frozen'):
        assert node.outputs[name].creator.uuid == second.uuid
    assert second.outputs.results.get_dict() == first.outputs.results.get_dict()
    curves = [item.outputs.learning_curve for item in (first, node)]
    assert curves[0].get_array('rmse_f_trn').tolist() == curves[1].get_array('rmse_f_trn').tolist()


def test_limits_of_the_scheduler(wrapped, frames, tiny_input, tmp_path, monkeypatch):
    """Its codes survive our parser: memory halves the batch, time carries it on, an end after the last program is one.

    A stand-in for SLURM's accounting: AiiDA's scheduler without queue says what a file of the job names.
    """
    labels = ('ERROR_SCHEDULER_OUT_OF_MEMORY', 'ERROR_SCHEDULER_OUT_OF_WALLTIME', 'ERROR_SCHEDULER_NODE_FAILURE')
    monkeypatch.setattr(
        DirectScheduler,
        'parse_output',
        lambda self, info, stdout, stderr: next((CODES[label] for label in labels if label in stdout), None),
    )
    code = wrapped(
        f'runs=$(ls {tmp_path} | grep -c ran-); touch {tmp_path}/ran-$runs\n'
        f'labels=({" ".join(labels)})\n'
        'echo ${labels[$runs]} >> _scheduler-stdout.txt\n'
        'case $runs in 0) kill -9 $$;; 2) exec "$dp" "$@";; esac\n'
        # Only the last checkpoints are kept: the one that is waited for may be gone when it is looked for.
        '"$dp" "$@" &\nuntil ls model.ckpt-*.meta >/dev/null 2>&1; do sleep 0.02; done; kill -9 $!'
    )
    content = tiny_input('se_e2_a', 2000)
    content['training'] |= {'save_freq': 200, 'training_data': {'batch_size': 2}}
    node = run(code, frames, content)
    assert node.is_finished_ok, node.exit_message
    first, second, third = jobs_of(node)
    assert [first.exit_status, second.exit_status, third.exit_status] == [110, 120, 140]
    assert second.inputs.parameters['input']['training']['training_data']['batch_size'] == 1
    assert third.inputs.restart_folder.uuid == second.outputs.remote_folder.uuid
    assert node.outputs.learning_curve.get_array('step')[-1] == 2000


def test_several_processes(dp_code, frames, tiny_input, tmp_path):
    """`torchrun` is handed the number of processes and `dp` with its arguments.

    A stand-in starts one of them: DeePMD-kit's several need a GPU each.
    """
    script = tmp_path / 'torchrun'
    script.write_text(f'#!/bin/bash\necho "$@" > {tmp_path}/asked\nshift 3\nexec "$@"\n')
    script.chmod(0o755)
    torchrun = orm.InstalledCode(
        computer=dp_code.computer, filepath_executable=str(script), label='torchrun-stand-in'
    ).store()
    node = run(dp_code, frames, tiny_input('se_e2_a', 4), backend='pytorch', processes=2, torchrun=torchrun)
    assert node.is_finished_ok, node.exit_message
    asked = f'--standalone --nproc_per_node=2 --no-python {dp_code.get_executable()} --pt train input.json'
    assert (tmp_path / 'asked').read_text().strip() == asked
    with pytest.raises(ValueError, match='torchrun: '):
        run(dp_code, frames, tiny_input('se_e2_a', 4), backend='pytorch', processes=2)


def test_refused_at_the_top(dp_code, frames, tiny_input):
    """The chain refuses what its training would refuse."""
    content = tiny_input('se_e2_a')
    content['model'] = {**content['model'], 'type_map': ['Li', 'S']}
    with pytest.raises(ValueError, match=r'Cl .* Li S'):
        run(dp_code, frames, content)


def test_builder(dp_code, frames):
    """A builder from a protocol is complete, with options of the machine."""
    builder = TrainBaseWorkChain.get_builder_from_protocol(
        dp_code,
        frames,
        protocol='demo',
        overrides={'preset': 'student-demo'},
        options={'train': {'max_wallclock_seconds': 60}},
    )
    assert builder.train.parameters['backend'] == 'tensorflow'
    assert builder.train.metadata.options.max_wallclock_seconds == 60
    assert builder.train.training_data.uuid == frames.uuid
    assert Path(builder.train.code.get_executable()).name == 'dp'
    with pytest.raises(ValueError, match='no protocol `x`'):
        TrainBaseWorkChain.get_builder_from_protocol(dp_code, frames, protocol='x')
