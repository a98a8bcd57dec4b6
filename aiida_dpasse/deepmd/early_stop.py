"""Ending a training whose held-out error is flat, where it runs: what comes after it in the job, the freezing, goes on.

A few lines of shell look at the learning curve beside ``dp train`` and end it. TensorFlow names a checkpoint before its
graph is written, and DeePMD-kit links the newest (``model.ckpt.meta``, ``model.ckpt.pt``) once it is whole: the lines
halt the training, see that the checkpoint named is the one linked, and only then end it. None is cut short.
"""

from __future__ import annotations

import re

from aiida_dpasse.deepmd.restart import LATEST, PREFIX

#: File in which the end is told.
REPORT = 'early_stop.out'
#: Seconds between two looks.
INTERVAL = 2

#: True where the best value of the column over the last ``window`` steps is hardly below the best before them.
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
    """Return lines of shell, to stand before ``dp train``, that end it when its held-out error is flat.

    :param error: column of the learning curve.
    :param window: steps, the last of the curve; ``improvement``: by which part the best error in them has to be below
        the best before them.
    :param curve: name of the learning curve's file.
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
    """Return the step at which a training was ended, by its report, None if it was not."""
    match = re.search(r'flat at step (\d+)', text)
    return int(match.group(1)) if match else None
