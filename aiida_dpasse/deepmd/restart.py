"""Continuation from the newest complete checkpoint of DeePMD-kit, selected on the compute machine before ``dp train``.

A killed job or a full disk can leave the last checkpoint truncated, and a diverged training leaves checkpoints of nan.
DeePMD-kit keeps several (``max_ckpt_keep``, 5). A few lines of shell select one, since nothing else is certain to be
installed on the compute machine, and retrieving all checkpoints for inspection would transfer a gigabyte.
"""

from __future__ import annotations

import re

PREFIX = 'model.ckpt'
#: Name of the selected checkpoint for ``dp train --restart``; in TensorFlow it is the stem of several files.
CHOSEN = 'restart'
#: File that records the selection.
REPORT = 'restart.out'
#: Text file of DeePMD-kit that names the last checkpoint.
LATEST = 'checkpoint'

_NONE_WHOLE = 'No checkpoint to go on from is whole'
#: By backend: the suffix that identifies a checkpoint, and a shell test that the checkpoint ``$stem`` is complete. A
#: zip ends with a record that begins with PK 5 6; TensorFlow's index ends with a magic number, its graph is written
#: last.
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
    """Return lines of shell that select the newest complete checkpoint in the directory for the restart.

    Later and truncated checkpoints are removed there (they are copies). If none is complete the script exits with
    status 1.

    :param backend: 'pytorch' or 'tensorflow'.
    :param log: file of the output of ``dp train``, to which the failure is written.
    :param limit: largest step of the checkpoint.
    :param newest: accept the newest checkpoint only, remove none and write no report: it is that of a finished
        training, which is not continued.
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
    """Return the argument of ``dp train --restart``.

    :param backend: 'pytorch' or 'tensorflow'.
    """
    return f'{CHOSEN}.pt' if backend == 'pytorch' else CHOSEN


def latest_step(pointer: str, log: str = '') -> int:
    """Return the step of the newest checkpoint, 0 without a checkpoint.

    DeePMD-kit empties its pointer file before it writes the next name, so a run killed in between leaves it empty. The
    log names every checkpoint after it has been written.

    :param pointer: text of DeePMD-kit's file ``checkpoint``.
    :param log: output of ``dp train``.
    """
    named = re.findall(rf'{re.escape(PREFIX)}-(\d+)', pointer)
    saved = re.findall(rf'Saved model to \S*{re.escape(PREFIX)}-(\d+)', log)
    return max((int(step) for step in (*named[:1], *saved[-1:])), default=0)


def restarted_from(text: str) -> int:
    """Return the step that a run continued from, 0 if it started from scratch.

    :param text: content of `REPORT`.
    """
    match = re.search(r'restart from step (\d+)', text)
    return int(match.group(1)) if match else 0


def none_was_whole(log: str) -> bool:
    """Whether ``dp train`` was not started because no checkpoint was complete.

    :param log: output of ``dp train``.
    """
    return _NONE_WHOLE in log
