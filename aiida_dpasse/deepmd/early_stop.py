"""Early stopping of a training whose held-out error no longer improves, on the machine where it runs.

A few lines of shell monitor the learning curve beside ``dp train`` and end it; the rest of the job, the freezing,
continues. TensorFlow records the name of a checkpoint before its graph is written, and DeePMD-kit links the newest
checkpoint (``model.ckpt.meta``, ``model.ckpt.pt``) once it is complete: the script pauses the training and ends it only
if the recorded checkpoint is the linked one, so that none is truncated.
"""

from __future__ import annotations

import re

from aiida_dpasse.deepmd.restart import LATEST, PREFIX

#: File that records the early stop.
REPORT = 'early_stop.out'
#: Seconds between two checks.
INTERVAL = 2

#: Prints the last step if the lowest value of the column in the last ``window`` steps is hardly below that before them.
_FLAT = """\
/^#/ { for (i = 2; i <= NF; i++) if ($i == name) field = i - 1; next }
field && NF >= field && $field ~ /^[0-9]/ { n++; step[n] = $1; value[n] = $field }
END {
  for (i = 1; i <= n; i++) {
    if (step[i] > step[n] - window) { if (!late || value[i] < late) late = value[i] }
    else if (!early || value[i] < early) early = value[i]
  }
  if (early && late > (1 - improvement) * early) print step[n]
}
"""
_SCRIPT = """\
( while sleep {interval} && kill -0 $$ 2>/dev/null; do
    step=$(awk -v name={error} -v window={window} -v improvement={improvement} '{flat}' {curve} 2>/dev/null)
    [ -n "$step" ] && pkill -STOP -P $$ -f ' train ' || continue
    named=$(sed -n '1s/.*{prefix}-\\([0-9]*\\).*/{prefix}-\\1/p' {latest} 2>/dev/null)
    if [ "$named.pt" -ef {prefix}.pt ] || [ "$named.meta" -ef {prefix}.meta ]; then
      echo "flat at step $step" > {report}; pkill -TERM -P $$ -f ' train '
    fi
    pkill -CONT -P $$ -f ' train '
    [ ! -e {report} ] || break
  done ) &
"""


def early_stop_script(error: str, window: int, improvement: float, curve: str) -> str:
    """Return lines of shell, to precede ``dp train``, that end it when its held-out error no longer improves.

    :param error: column of the learning curve.
    :param window: number of steps at the end of the curve.
    :param improvement: fraction by which the lowest error in the window has to be below the lowest before it.
    :param curve: file name of the learning curve.
    """
    return _SCRIPT.format(
        interval=INTERVAL,
        error=error,
        window=window,
        improvement=f'{improvement:.10g}',
        flat=_FLAT,
        curve=curve,
        latest=LATEST,
        prefix=PREFIX,
        report=REPORT,
    )


def flat_step(text: str) -> int | None:
    """Return the step at which a training was stopped early, None if it was not.

    :param text: content of `REPORT`.
    """
    match = re.search(r'flat at step (\d+)', text)
    return int(match.group(1)) if match else None
