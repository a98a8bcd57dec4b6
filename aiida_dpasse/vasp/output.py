"""Parser of VASP output: frames of `vasprun.xml`, with the electronic convergence from OUTCAR.

The energy is `e_fr_energy`, the free energy; forces and stress are its derivatives. Convergence is taken from VASP's
own statement. The number of electronic steps is no criterion: the loop also ends before NELM when it is stopped, and
may converge in step NELM itself. VASP 5, however, reports that EDIFF is reached for a loop that used up NELM even if it
is not; in that case the last changes of the energy must be below EDIFF as well.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from aiida_dpasse.structures.calculated import CalculatedFrame

#: Kilobar in eV/A^3.
KILOBAR = 6.241509074e-4

_STEP = re.compile(r'Iteration\s+(\d+)\(\s*(\d+)\)')
_NELM = re.compile(r'^\s+NELM\s*=\s*(\d+);')
_EDIFF = re.compile(r'^\s+EDIFF\s*=\s*(\S+)\s+stopping-criterion')
#: Change of the energy and, in parentheses, of the eigenvalues, in eV.
_CHANGE = re.compile(r'total energy-change \(2\. order\)\s*:\s*(\S+)\s*\(\s*(\S+)\)')
_REACHED = 'aborting loop because EDIFF is reached'
_AT_REST = 'reached required accuracy - stopping structural energy minimisation'


def converged_steps(outcar: str) -> list[bool]:
    """Return whether the electrons converged in each ionic step, according to OUTCAR.

    A step without a statement, as in a stopped or killed run, is not converged.

    :param outcar: text of OUTCAR.
    """
    found: list[bool] = []
    limit, ediff, cycle, change = 0, 0.0, 0, 0.0
    for line in outcar.splitlines():
        if match := _STEP.search(line):
            found += [False] * (int(match[1]) - len(found))
            cycle, change = int(match[2]), np.inf
        elif match := _CHANGE.search(line):
            change = max(abs(float(number)) for number in match.groups())
        elif found and _REACHED in line:
            found[-1] = cycle < limit or change < ediff
        elif match := _NELM.search(line):
            limit = int(match[1])
        elif match := _EDIFF.search(line):
            ediff = float(match[1])
    return found


def read_frames(vasprun: Path, outcar: str) -> list[CalculatedFrame]:
    """Return the frames of a run; frames truncated by a kill are omitted.

    :param vasprun: ``vasprun.xml``, which may be truncated.
    :param outcar: text of OUTCAR.
    :returns: frames with energies (eV), forces (eV/A) and virials (eV).
    :raises ValueError: if ``vasprun.xml`` cannot be read at all.
    """
    from pymatgen.io.vasp import Vasprun

    try:
        with warnings.catch_warnings():
            # Truncation and missing convergence are reported for each frame, so the warnings are redundant.
            warnings.simplefilter('ignore')
            run = Vasprun(
                vasprun, parse_dos=False, parse_eigen=False, parse_potcar_file=False, exception_on_bad_xml=False
            )
    except Exception as error:  # pymatgen raises exceptions of any type for a broken file
        raise ValueError(f'vasprun.xml is cut off or broken ({" ".join(str(error).split())})') from error
    frames = []
    for step, converged in zip(run.ionic_steps, converged_steps(outcar), strict=False):
        if not {'e_fr_energy', 'forces', 'structure'} <= set(step):
            break
        structure = step['structure']
        stress = step.get('stress')
        # VASP's stress is positive under compression, so that the virial is its product with the volume.
        virial = None if stress is None else np.asarray(stress, dtype=float) * structure.volume * KILOBAR
        frames.append(
            CalculatedFrame(
                symbols=tuple(run.atomic_symbols),
                cell=np.asarray(structure.lattice.matrix, dtype=float),
                positions=np.asarray(structure.cart_coords, dtype=float),
                energy=float(step['e_fr_energy']),
                forces=np.asarray(step['forces'], dtype=float),
                virial=virial,
                converged=converged,
            )
        )
    if frames and len(frames) == len(run.ionic_steps) and _AT_REST in outcar:
        frames[-1] = replace(frames[-1], at_rest=True)
    return frames
