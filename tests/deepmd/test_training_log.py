"""What the output of a training says about its end."""

from __future__ import annotations

import pytest

from aiida_dpasse.deepmd.training_log import parse_training_log

HEAD = 'DEEPMD INFO    DeePMD version: 3.2.0\nDEEPMD INFO    Start to train 20 steps.\n'
BLOCKS = 'Batch 1: total wall time = 1.5 s\nBatch 5: total wall time = 0.50 s, eta = 0:00:00\n'
END = 'average training time: 0.0622 s/batch (100 batches excluded)\nTrained model has been saved to: model.ckpt\n'
TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1\n'


def test_finished():
    """Version and times."""
    log = parse_training_log(HEAD + BLOCKS + END)
    assert (log.version, log.started, log.finished) == ('3.2.0', True, True)
    assert (log.seconds_per_step, log.seconds) == (0.0622, 2.0)
    assert log.error is None
    assert not log.out_of_memory


def test_killed():
    """Nothing at the end: started, not finished, no error."""
    log = parse_training_log(HEAD + BLOCKS)
    assert (log.started, log.finished, log.error, log.seconds_per_step) == (True, False, None, None)


@pytest.mark.parametrize(
    'line',
    [
        'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.',
        'tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating tensor',
        "terminate called after throwing an instance of 'std::bad_alloc'",
        'slurmstepd: error: Detected 1 oom-kill event(s)',
    ],
)
def test_out_of_memory(line):
    """Torch, TensorFlow, C++ and Slurm each say it in their way."""
    assert parse_training_log(f'{HEAD}{TRACE}{line}\n').out_of_memory


def test_error():
    """The last line of a traceback is the reason; a warning that names an error is not."""
    assert parse_training_log(f'{HEAD}{TRACE}KeyError: "energy"\n').error == 'KeyError: "energy"'
    assert parse_training_log(f'{HEAD}RuntimeError: only said\n').error is None


def test_empty():
    """No output at all."""
    log = parse_training_log('')
    assert (log.version, log.started, log.finished, log.seconds) == (None, False, False, None)


KILLED = (
    'RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed. ',
    'RuntimeError: DataLoader worker (pid(s) 7, 8) exited unexpectedly',
)


@pytest.mark.parametrize('line', KILLED)
def test_a_killed_data_loader_is_not_an_error_of_the_training(line):
    """Whatever killed it, the training continues from its last checkpoint."""
    log = parse_training_log(f'{HEAD}{BLOCKS}{TRACE}{line}\n')
    assert (log.error, log.finished, log.started) == (None, False, True)


def test_too_little_shared_memory_is_an_error():
    """It does not pass with another attempt."""
    line = 'RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. Out of shared memory is possible.'
    assert parse_training_log(f'{HEAD}{TRACE}{line}\n').error == line
