"""Parser of VASP output: frames of `vasprun.xml`, with the electronic convergence from OUTCAR.

The energy is `e_fr_energy`, the free energy; forces and stress are its derivatives. Convergence is taken from VASP's
own statement. The number of electronic steps is no criterion: the loop also ends before NELM when it is stopped, and
may converge in step NELM itself. VASP 5, however, reports that EDIFF is reached for a loop that used up NELM even if it
is not; in that case the last changes of the energy must be below EDIFF as well. A `vasprun.xml` without OUTCAR has no
statement: there a loop has converged if its last change of the energy is below EDIFF.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_dpasse.quoting import line as line_of
from aiida_dpasse.structures.calculated import CalculatedFrame
from aiida_dpasse.unreadable import UnreadableError, reading
from aiida_dpasse.unreadable import reason as said

if TYPE_CHECKING:
    from pymatgen.io.vasp import Vasprun

#: Kilobar in eV/A^3.
KILOBAR = 6.241509074e-4
#: VASP's default of EDIFF in eV.
EDIFF = 1e-4

_STEP = re.compile(r'Iteration\s+(\d{1,6})\(\s*(\d{1,9})\)')
_NELM = re.compile(r'^\s+NELM\s*=\s*(\d{1,9});')
_EDIFF = re.compile(r'^\s+EDIFF\s*=\s*(\S+)\s+stopping-criterion')
#: Change of the energy and, in parentheses, of the eigenvalues, in eV.
_CHANGE = re.compile(r'total energy-change \(2\. order\)\s*:\s*(\S+)\s*\(\s*(\S+)\)')
_END = re.compile(r'aborting loop (.*?)[\s-]*$')
_REACHED = 'because EDIFF is reached'
_MISSED = 'EDIFF was not reached'
#: A number with an exponent of three digits, for which Fortran leaves out the letter.
_LONG = re.compile(r'([+-]?\d*\.\d*)([+-]\d{3})')
_AT_REST = 'reached required accuracy - stopping structural energy minimisation'


def converged_steps(outcar: str) -> list[bool]:
    """Return whether the electrons converged in each ionic step, according to OUTCAR.

    :param outcar: text of OUTCAR.
    :raises UnreadableError: as :func:`unconverged_reasons`.
    """
    return [not reason for reason in unconverged_reasons(outcar)]


def unconverged_reasons(outcar: str) -> list[str]:
    """Return for each ionic step why the electrons did not converge, according to OUTCAR; empty if they did.

    A step without a statement, as in a stopped or killed run, is not converged.

    :param outcar: text of OUTCAR.
    :raises UnreadableError: if a change of the energy is not a number.
    """
    with reading('OUTCAR', 'copy it again'):
        return _unconverged_reasons(outcar)


def _unconverged_reasons(outcar: str) -> list[str]:
    found: list[str] = []
    limit, ediff, cycle, change = 0, 0.0, 0, 0.0
    for line in outcar.splitlines():
        if match := _STEP.search(line):
            cycle, change = int(match[2]), np.inf
            found += ['OUTCAR lacks this step'] * (int(match[1]) - len(found))
            found[-1] = f'VASP ended in electronic step {cycle}'
        elif match := _CHANGE.search(line):
            change = max(abs(real(number)) for number in match.groups())
        elif found and (match := _END.search(line)):
            used_up = f'the last of NELM = {limit} electronic steps changed the energy by {change:.2g} eV'
            if match[1] == _REACHED:
                found[-1] = '' if cycle < limit or change < ediff else used_up
            else:
                found[-1] = used_up if match[1].startswith(_MISSED) else f'VASP ended the electronic loop {match[1]}'
        elif match := _NELM.search(line):
            limit = int(match[1])
        elif match := _EDIFF.search(line):
            ediff = real(match[1])
    return found


def real(word: str) -> float:
    """Return a number that Fortran wrote, such as `0.7113381-191`; asterisks, a number too long, are infinite.

    :param word: the number.
    :raises UnreadableError: if it is not a number.
    """
    if word and not word.strip('*'):
        return float('inf')
    match = _LONG.fullmatch(word)
    try:
        return float(f'{match[1]}e{match[2]}' if match else word)
    except ValueError as error:
        raise UnreadableError(f'OUTCAR has `{line_of(word)[:40]}` in the place of a number: copy it again.') from error


def read_frames(vasprun: Path, outcar: str | None = None) -> list[CalculatedFrame]:
    """Return the frames of a run; frames truncated by a kill are omitted.

    :param vasprun: ``vasprun.xml``, which may be truncated.
    :param outcar: text of OUTCAR; without it the convergence is that of the energies in ``vasprun``.
    :returns: frames with energies (eV), forces (eV/A) and virials (eV), and why electrons did not converge.
    :raises UnreadableError: if ``vasprun.xml`` cannot be read at all.
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
        raise UnreadableError(f'vasprun.xml is cut off or broken ({said(error)}): copy it again.') from error
    with reading('vasprun.xml', 'copy it again'):
        return _frames_of(run, outcar)


def _frames_of(run: Vasprun, outcar: str | None) -> list[CalculatedFrame]:
    reasons = [_reason(step, run) for step in run.ionic_steps] if outcar is None else unconverged_reasons(outcar)
    frames = []
    for step, reason in zip(run.ionic_steps, reasons, strict=False):
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
                converged=not reason,
                reason=reason,
            )
        )
    if frames and len(frames) == len(run.ionic_steps) and _AT_REST in (outcar or ''):
        frames[-1] = replace(frames[-1], at_rest=True)
    return frames


def _reason(step: Mapping[str, Any], run: Vasprun) -> str:
    """Return why the electrons of an ionic step of `vasprun.xml` did not converge, or nothing if they did."""
    energies = [cycle['e_fr_energy'] for cycle in step['electronic_steps'] if 'e_fr_energy' in cycle]
    change = abs(energies[-1] - energies[-2]) if len(energies) > 1 else np.inf
    ediff = float(run.parameters.get('EDIFF', run.incar.get('EDIFF', EDIFF)))
    if change < ediff:
        return ''
    return f'the last of {len(energies)} electronic steps changed the energy by {change:.2g} eV, and EDIFF is {ediff:g}'
