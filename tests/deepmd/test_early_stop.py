"""When a held-out error counts as flat, as the lines of shell see it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aiida_dpasse.deepmd.early_stop import REPORT, early_stop_script, flat_step

HEADER = '#  step      rmse_val    rmse_trn    rmse_f_val   lr\n'


def curve(errors: list[float | str]) -> str:
    """A learning curve with a row every hundred steps; the other columns fall for ever."""
    rows = [f'{100 * n:7d} {1 / (n + 1):e} {1 / (n + 1):e} {error} 1e-3\n' for n, error in enumerate(errors)]
    return HEADER + ''.join(rows)


def run_job(folder: Path, errors: list[float | str], training: str) -> None:
    """Run a job that watches ``training``, whose learning curve is there already, and goes on after it."""
    (folder / 'lcurve.out').write_text(curve(errors))
    script = early_stop_script('rmse_f_val', 400, 0.01, 'lcurve.out').replace('interval=2', 'interval=0.05')
    job = f'{script}\nbash -c "{training}" train train input.json\necho after > after\n'
    (folder / 'job.sh').write_text(job)
    subprocess.run(['bash', 'job.sh'], cwd=folder, check=True)


@pytest.mark.parametrize(
    ('errors', 'step'),
    [
        ([8, 4, 2, 1, 0.5, 0.25], None),
        ([8, 4, 2, 1, 1, 1], None),  # the third row before the end is the first of the window, and better
        ([8, 4, 1, 1, 1, 1, 1], 600),
        ([8, 4, 1, 2, 3, 3, 3], 600),
        ([8, 4, 1, 0.97, 1, 1, 1], None),
        ([8, 4, 1, 0.995, 1, 1, 1], 600),
        ([8, 4, 1, 'nan', 1, 1, 1], 600),
        ([1, 1], None),
        ([], None),
    ],
)
def test_flat(tmp_path, errors, step):
    """The last 400 steps, of which the best has to be below the best before by a hundredth."""
    whole_checkpoint(tmp_path)
    run_job(tmp_path, errors, f'sleep {0.6 if step is None else 30}; echo > done')
    # What comes after the training is done in any case.
    assert (tmp_path / 'after').exists()
    report = tmp_path / REPORT
    assert flat_step(report.read_text() if report.exists() else '') == step
    assert (tmp_path / 'done').exists() == (step is None)


def whole_checkpoint(folder: Path) -> None:
    """PyTorch's, as DeePMD-kit leaves it."""
    (folder / 'checkpoint').write_text('model.ckpt-100.pt')
    (folder / 'model.ckpt-100.pt').touch()
    (folder / 'model.ckpt.pt').symlink_to('model.ckpt-100.pt')


def named_before_its_graph(folder: Path) -> None:
    """TensorFlow's while its graph is written: the link is still that of the checkpoint before."""
    (folder / 'checkpoint').write_text('model_checkpoint_path: "model.ckpt-200"\nall_model_checkpoint_paths: "..."\n')
    for name in ('model.ckpt-100.meta', 'model.ckpt-200.meta'):
        (folder / name).touch()
    (folder / 'model.ckpt.meta').symlink_to('model.ckpt-100.meta')


@pytest.mark.parametrize('begin', [lambda folder: None, named_before_its_graph])
def test_no_whole_checkpoint_yet(tmp_path, begin):
    """A training goes on until one is there."""
    begin(tmp_path)
    run_job(tmp_path, [1] * 9, 'sleep 0.6; echo > done')
    assert (tmp_path / 'done').exists()
    assert not (tmp_path / REPORT).exists()


def test_the_graph_is_written(tmp_path):
    """TensorFlow's checkpoint counts from its link on."""
    named_before_its_graph(tmp_path)
    (tmp_path / 'model.ckpt.meta').unlink()
    (tmp_path / 'model.ckpt.meta').symlink_to('model.ckpt-200.meta')
    run_job(tmp_path, [1] * 9, 'sleep 30; echo > done')
    assert not (tmp_path / 'done').exists()
    assert flat_step((tmp_path / REPORT).read_text()) == 800
