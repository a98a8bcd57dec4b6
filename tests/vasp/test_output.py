"""VASP's output: convergence is VASP's own statement, for every ionic step."""

from __future__ import annotations

import pytest

from aiida_dpasse.vasp.output import converged_steps, read_frames

REACHED = '------------------------ aborting loop because EDIFF is reached ----------------------------------------'
MISSED = '------------------------ aborting loop EDIFF was not reached (unconverged)  ---------------------------'
STOPPED = '------------------------ aborting loop because hard stop was set ---------------------------------------'


HEAD = [
    '   NELM   =     60;   NELMIN=  2; NELMDL= -5     # of ELM steps ',
    '   EDIFF  = 0.1E-05   stopping-criterion for ELM',
]


def steps(ionic: int, electronic: int, change: str = '-0.7340585E-07') -> list[str]:
    """The electronic steps of one ionic step, with their change of the energy."""
    dashes = '-' * 39
    return [
        line
        for number in range(1, electronic + 1)
        for line in (
            f'{dashes} Iteration {ionic:6d}({number:4d})  {dashes}',
            f' total energy-change (2. order) :{change}  (-0.7340018E-07)',
        )
    ]


@pytest.mark.parametrize(
    ('said', 'converged'),
    [
        ([], []),
        ([*steps(1, 5), REACHED], [True]),
        # In the very last step that NELM allows: a count of steps calls this one unconverged.
        ([*steps(1, 60), REACHED], [True]),
        ([*steps(1, 60), MISSED], [False]),
        # VASP 5 says the same of a loop that used up its steps in vain.
        ([*steps(1, 60, ' 0.1024374E+00'), REACHED], [False]),
        # Stopped by STOPCAR, or killed, long before NELM: a count of steps calls this one converged.
        ([*steps(1, 5), STOPPED], [False]),
        ([*steps(1, 5)], [False]),
        (
            [*steps(1, 5), REACHED, *steps(2, 60), MISSED, *steps(3, 4), REACHED, *steps(4, 2)],
            [True, False, True, False],
        ),
        ([*steps(9999, 1), REACHED], [False] * 9998 + [True]),
    ],
)
def test_convergence_is_what_vasp_says(said, converged):
    assert converged_steps('\n'.join([*HEAD, *said])) == converged


def test_an_unreadable_file_is_refused(tmp_path):
    path = tmp_path / 'vasprun.xml'
    path.write_text('<?xml version="1.0"?>\n<modeling>\n <generator>\n')
    with pytest.raises(ValueError, match=r'vasprun\.xml is cut off or broken'):
        read_frames(path, '')
