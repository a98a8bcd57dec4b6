"""VASP's output: convergence is VASP's own statement, for every ionic step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_dpasse.vasp.output import converged_steps, read_frames, real, unconverged_reasons

SHARED = Path(__file__).parents[3] / 'shared' / 'cases' / 'files' / 'outcar_exponent' / 'OUTCAR'
REACHED = '------------------------ aborting loop because EDIFF is reached ----------------------------------------'
MISSED = '------------------------ aborting loop EDIFF was not reached (unconverged)  ---------------------------'
STOPPED = '------------------------ aborting loop because hard stop was set ---------------------------------------'


HEAD = [
    '   NELM   =     60;   NELMIN=  2; NELMDL= -5     # of ELM steps ',
    '   EDIFF  = 0.1E-05   stopping-criterion for ELM',
]


def steps(ionic: int, electronic: int, change: str = '-0.7340585E-07', other: str = '-0.7340018E-07') -> list[str]:
    """The electronic steps of one ionic step, with their change of the energy."""
    dashes = '-' * 39
    return [
        line
        for number in range(1, electronic + 1)
        for line in (
            f'{dashes} Iteration {ionic:6d}({number:4d})  {dashes}',
            f' total energy-change (2. order) :{change}  ({other})',
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


@pytest.mark.parametrize(
    ('said', 'reason'),
    [
        ([*steps(1, 60), MISSED], 'the last of NELM = 60 electronic steps changed the energy by 7.3e-08 eV'),
        (
            [*steps(1, 60, ' 0.1024374E+00'), REACHED],
            'the last of NELM = 60 electronic steps changed the energy by 0.1 eV',
        ),
        ([*steps(1, 5), STOPPED], 'VASP ended the electronic loop because hard stop was set'),
        ([*steps(1, 5)], 'VASP ended in electronic step 5'),
        ([*steps(1, 5), REACHED], ''),
    ],
)
def test_why_a_step_did_not_converge(said, reason):
    assert unconverged_reasons('\n'.join([*HEAD, *said])) == [reason]


@pytest.mark.parametrize(
    ('word', 'number'),
    [('0.7113381-191', 0.7113381e-191), ('-1.5+102', -1.5e102), ('0.5E-03', 5e-4), ('-3', -3.0), ('*****', np.inf)],
)
def test_numbers_of_fortran(word, number):
    """An exponent of three digits has no letter, and a number too long is asterisks."""
    assert real(word) == number


def test_a_change_with_a_long_exponent_is_a_number():
    assert converged_steps('\n'.join([*HEAD, *steps(1, 60, ' 0.3993534E-08', '0.7113381-191'), REACHED])) == [True]
    with pytest.raises(ValueError, match='nonsense'):
        converged_steps('\n'.join([*HEAD, *steps(1, 2, ' nonsense'), REACHED]))


XML = """<?xml version="1.0"?>
<modeling>
 <generator><i name="program" type="string">vasp </i><i name="version" type="string">6.4.2 </i></generator>
 <incar></incar>
 <kpoints><generation param="Gamma"><v type="int" name="divisions"> 1 1 1 </v></generation>
  <varray name="kpointlist"><v> 0 0 0 </v></varray><varray name="weights"><v> 1 </v></varray></kpoints>
 <parameters><separator name="electronic"><i name="EDIFF"> 1e-5 </i><i type="int" name="NELM"> 3 </i></separator>
 </parameters>
 <atominfo><atoms> 1 </atoms><types> 1 </types>
  <array name="atoms"><dimension dim="1">ion</dimension><field type="string">element</field>
   <field type="int">atomtype</field><set><rc><c>Li</c><c> 1</c></rc></set></array>
  <array name="atomtypes"><dimension dim="1">type</dimension><field type="int">atomspertype</field>
   <field type="string">element</field><field>mass</field><field>valence</field>
   <field type="string">pseudopotential</field><set><rc><c> 1</c><c>Li</c><c> 7</c><c> 1</c><c>Li</c></rc></set></array>
 </atominfo>
 {structure}
 {calculations}
 {structure}
</modeling>
"""
STRUCTURE = """<structure{}><crystal><varray name="basis"><v> 3 0 0 </v><v> 0 3 0 </v><v> 0 0 3 </v></varray>
  <i name="volume"> 27 </i><varray name="rec_basis"><v> .33 0 0 </v><v> 0 .33 0 </v><v> 0 0 .33 </v></varray></crystal>
  <varray name="positions"><v> 0 0 0 </v></varray></structure>"""


def test_convergence_without_outcar_is_that_of_the_energies(tmp_path):
    """The last change of a converged loop is below EDIFF, also in step NELM itself."""

    def calculation(*energies):
        energy = '<energy><i name="e_fr_energy"> {} </i></energy>'
        cycles = ''.join(f'<scstep>{energy.format(number)}</scstep>' for number in energies)
        forces = '<varray name="forces"><v> 0 0 0 </v></varray><varray name="stress"><v> 1 0 0 </v><v> 0 1 0 </v>'
        done = STRUCTURE.format('') + forces + '<v> 0 0 1 </v></varray>' + energy.format(energies[-1])
        return f'<calculation>{cycles}{done}</calculation>'

    path = tmp_path / 'vasprun.xml'
    runs = [(-1.0, -1.2, -1.3), (-1.0, -1.2, -1.2000001), (-1.0,), (-1.0, -1.0000001)]
    calculations = ''.join(calculation(*energies) for energies in runs)
    path.write_text(XML.format(structure=STRUCTURE.format(' name="initialpos"'), calculations=calculations))
    frames = read_frames(path)
    assert [frame.converged for frame in frames] == [False, True, False, True]
    assert [bool(frame.reason) for frame in frames] == [True, False, True, False]
    assert '3 electronic steps' in frames[0].reason
    assert frames[1].energy == -1.2000001
    assert frames[0].virial[0, 0] == pytest.approx(27 / 1602.1766, rel=1e-5)


def test_an_unreadable_file_is_refused(tmp_path):
    path = tmp_path / 'vasprun.xml'
    path.write_text('<?xml version="1.0"?>\n<modeling>\n <generator>\n')
    with pytest.raises(ValueError, match=r'vasprun\.xml is cut off or broken'):
        read_frames(path, '')


@pytest.mark.skipif(not SHARED.is_file(), reason='the shared cases are not beside this repository')
def test_the_case_of_a_long_exponent():
    assert converged_steps(SHARED.read_text()) == [True]
