"""Going on from the newest whole checkpoint of DeePMD-kit, chosen where the files lie, before ``dp train`` begins.

A job that is killed can leave its last checkpoint cut short, a full disk too; a diverged training leaves checkpoints
of nan. DeePMD-kit keeps several (``max_ckpt_keep``, 5): a few lines of shell pick one, since the compute machine has
nothing else that is sure to be there, and bringing all of them home to look at them would cost a gigabyte.
"""

from __future__ import annotations

import re

PREFIX = 'model.ckpt'
#: What the chosen checkpoint is called for ``dp train --restart``: TensorFlow's is several files of this stem.
CHOSEN = 'restart'
#: File in which the choice is told.
REPORT = 'restart.out'
#: Text file of DeePMD-kit that names the last checkpoint.
LATEST = 'checkpoint'

_NONE_WHOLE = 'No checkpoint to go on from is whole'
#: By backend: the file that makes a checkpoint, and a shell test that is true if checkpoint number ``$step`` is whole.
#: A zip ends in a record that begins with PK 5 6; TensorFlow's index in a magic number, and its graph is written last.
_WHOLE = {
    'pytorch': ('pt', '[ "$(tail -c 22 "$stem.pt" | head -c 4 | od -An -tx1 | tr -d " \\n")" = 504b0506 ]'),
    'tensorflow': (
        'index',
        '[ -s "$stem.meta" ] && ls "$stem".data-* >/dev/null 2>&1 && '
        '[ "$(tail -c 8 "$stem.index" | od -An -tx1 | tr -d " \\n")" = 57fb808b247547db ]',
    ),
}
_SCRIPT = """\
chosen=
for step in $(ls | sed -n 's/^{prefix}-\\([0-9][0-9]*\\)\\.{suffix}$/\\1/p' | sort -rn); do
  stem={prefix}-$step
  if {limit}; then echo "step $step is later than asked for" >> {report}
  elif {whole}; then chosen=$step; break
  else echo "step $step is cut short" >> {report}
  fi
  {else_}
done
if [ -z "$chosen" ]; then echo "{none}." > {log}; exit 1; fi
echo "restart from step $chosen" >> {report}
for file in {prefix}-$chosen.*; do
  ln -sf "$file" "{chosen}${{file#{prefix}-$chosen}}"
  ln -sf "$file" "{prefix}${{file#{prefix}-$chosen}}"
done
printf '{named}' "$chosen" > {latest}
"""
_NAMED = {'pytorch': f'{PREFIX}-%s.pt', 'tensorflow': f'model_checkpoint_path: "{PREFIX}-%s"\\n'}


def restart_script(backend: str, log: str, limit: int | None = None, newest: bool = False) -> str:
    """Return lines of shell that make the newest whole checkpoint among those in the directory the one to go on from.

    Later ones and broken ones are removed there (they are copies). If none is whole the script ends with status 1.

    :param backend: 'pytorch' or 'tensorflow'.
    :param log: file of the output of ``dp train``, in which the failure is reported.
    :param limit: largest step of the checkpoint.
    :param newest: take the newest or none: it is that of a finished training, which nothing goes on from.
    """
    suffix, whole = _WHOLE[backend]
    return _SCRIPT.format(
        prefix=PREFIX,
        suffix=suffix,
        limit='false' if limit is None else f'[ "$step" -gt {limit} ]',
        whole=whole,
        else_='break' if newest else 'rm -f "$stem".*',
        report='/dev/null' if newest else REPORT,
        none=_NONE_WHOLE,
        log=log,
        chosen=CHOSEN,
        named=_NAMED[backend],
        latest=LATEST,
    )


def restart_argument(backend: str) -> str:
    """Return what ``dp train --restart`` is given."""
    return f'{CHOSEN}.pt' if backend == 'pytorch' else CHOSEN


def latest_step(pointer: str, log: str = '') -> int:
    """Return the step of the newest checkpoint, 0 if there is none.

    DeePMD-kit empties its pointer before it writes the next name there, so that a run killed in between leaves none.
    Its log names every checkpoint once it is on the disk.

    :param pointer: text of DeePMD-kit's file ``checkpoint``.
    :param log: what ``dp train`` printed.
    """
    named = re.findall(rf'{re.escape(PREFIX)}-(\d+)', pointer)
    saved = re.findall(rf'Saved model to \S*{re.escape(PREFIX)}-(\d+)', log)
    return max((int(step) for step in (*named[:1], *saved[-1:])), default=0)


def restarted_from(text: str) -> int:
    """Return the step that a run went on from, by its report, 0 if it began anew."""
    match = re.search(r'restart from step (\d+)', text)
    return int(match.group(1)) if match else 0


def none_was_whole(log: str) -> bool:
    """Whether ``dp train`` was not started because there was no whole checkpoint."""
    return _NONE_WHOLE in log
