"""Output of VASP for tests: an OUTCAR as text, and the files of the stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write

#: Energy in eV of the ionic steps of `OUTCAR`.
ENERGIES = (-7.25, -7.5)
REACHED, MISSED = 'because EDIFF is reached', 'EDIFF was not reached (unconverged)'


def outcar(*states: bool) -> str:
    """Return the OUTCAR of ionic steps of LiCl in a cell of 4 A that converged or not, with a stress of 10 kB."""
    dashes = '-' * 39
    text = [
        ' vasp.6.4.2 20Jul23 complex',
        ' TITEL  = PAW_PBE Li_sv 10Sep2004',
        ' TITEL  = PAW_PBE Cl 06Sep2000',
        '   ions per type =               1   1',
        '   NELM   =     60;   NELMIN=  2; NELMDL= -5     # of ELM steps',
        '   NWRITE =      2    write-flag & timer',
        '   EDIFF  = 0.1E-05   stopping-criterion for ELM',
    ]
    for step, (state, energy) in enumerate(zip(states, ENERGIES, strict=False), 1):
        text += [
            f'{dashes} Iteration {step:6d}(   1)  {dashes}',
            ' total energy-change (2. order) : 0.1000000E-06  ( 0.1000000E-06)',
            f' ----- aborting loop {REACHED if state else MISSED} -----',
            ' FORCE on cell =-STRESS in cart. coord.  units (eV):',
            '  Direction    XX          YY          ZZ          XY          YZ          ZX',
            *([''] * 11),
            '  Total       1.0         1.0         1.0         0.0         0.0         0.0',
            '  in kB      10.00000    10.00000    10.00000     1.00000     2.00000     3.00000',
            ' VOLUME and BASIS-vectors are now :',
            *([''] * 4),
            *(
                f'{row[0]:13.9f}{row[1]:13.9f}{row[2]:13.9f}     0.0     0.0     0.0'
                for row in [[0, 4, 0], [0, 0, 4], [4, 0, 0]]
            ),
            ' POSITION                                       TOTAL-FORCE (eV/Angst)',
            ' ' + dashes,
            '      0.00000      0.00000      0.00000         0.100000      0.200000      0.300000',
            f'      2.00000      0.00000      {step:.5f}        -0.100000     -0.200000     -0.300000',
            ' ' + dashes,
            f'  free  energy   TOTEN  = {energy:18.8f} eV',
        ]
    return '\n'.join(text) + '\n'


def run_stand_in(folder: Path) -> None:
    """Write the output of VASP for three steps of molecular dynamics of copper."""
    write(folder / 'POSCAR', Atoms('Cu4', np.eye(4, 3) * 1.8, cell=[5, 5, 5], pbc=True), format='vasp')
    (folder / 'POTCAR').write_text(' TITEL  = PAW_PBE Cu 22Jun2005\n')
    (folder / 'KPOINTS').write_text('mesh\n0\nGamma\n1 1 1\n')
    tags = 'IBRION=0 NSW=3 TEBEG=300 TEEND=300 POTIM=1 LANGEVIN_GAMMA=10 RANDOM_SEED=3 NELM=60'
    (folder / 'INCAR').write_text(tags.replace(' ', '\n').replace('=', ' = '))
    environment = os.environ | {'VASP_STAND_IN': json.dumps({})}
    subprocess.run(
        [sys.executable, str(Path(__file__).parent / 'stand_ins' / 'vasp.py')],
        cwd=folder,
        check=True,
        capture_output=True,
        env=environment,
    )
