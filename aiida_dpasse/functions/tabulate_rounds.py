"""The rounds in which a student explored by itself, and whether it is settled."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction


@calcfunction
def tabulate_rounds(parameters: orm.Dict, **parts: orm.Dict) -> orm.Dict:
    """Return ``rounds``, and of the last whether the student is ``settled``, with the ``verdict``.

    It is settled if all its runs came to their end and the mean absolute error of its forces, on the frames that it
    sampled there, is at most ``force_mae`` (meV/A) of ``parameters``.

    :param parts: by round: ``errors_001`` of `dpasse.evaluate`, ``account_001`` of the labels, ``run_<start>_001``, the
        results of each run.
    """
    rows: list[dict[str, Any]] = []
    for index in sorted({int(label.rpartition('_')[2]) for label in parts}):
        end = f'_{index:03d}'
        runs = [node for label, node in parts.items() if label.startswith('run_') and label.endswith(end)]
        account, errors = parts[f'account{end}'], parts[f'errors{end}']['student']
        rows.append(
            {
                'round': index,
                'runs': len(runs),
                'survived': sum(run['step'] >= run['steps'] for run in runs),
                **{name: account[name] for name in ('requested', 'admitted')},
                **{name: len(account[name]) for name in ('rejected', 'failed')},
                **{name: errors[name] for name in ('energy_mae_meV_atom', 'force_mae_meV_A')},
            }
        )
    last, limit = rows[-1], parameters['force_mae']
    error = f'the error of its forces there is {last["force_mae_meV_A"]:.0f} meV/A'
    if last['survived'] < last['runs']:
        settled, verdict = False, f'Only {last["survived"]} of {last["runs"]} runs of the student came to their end.'
    elif last['force_mae_meV_A'] > limit:
        settled, verdict = False, f'The student runs, and {error}, more than {limit:g}.'
    else:
        settled, verdict = True, f'The student runs, and {error}, at most {limit:g}.'
    return orm.Dict({'rounds': rows, 'settled': settled, 'verdict': verdict})
