"""Parser of CP2K output: frames of molecular dynamics or a relaxation, with labels and convergence.

CP2K writes Ha, Ha/bohr and GPa (or bar). The energy is `ENERGY| Total FORCE_EVAL`. With smearing it contains the
electronic entropy term -TS (a Mermin free energy); forces and stress are its derivatives.

A release that is not supported (:mod:`aiida_dpasse.cp2k.releases`) is refused, since it may print other units or other
statements of convergence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.cp2k.releases import FIRST, LAST, SUPPORTED, release_of
from aiida_dpasse.cp2k.units import BOHR, HARTREE
from aiida_dpasse.quoting import line as line_of
from aiida_dpasse.structures.calculated import CalculatedFrame
from aiida_dpasse.unreadable import UnreadableError, reading

#: CP2K's names of its unit of energy, in lower case.
ENERGY_UNITS = ('a.u.', 'hartree')
#: CP2K's units of stress in eV/A^3, by their names in lower case.
STRESS_UNITS = {'gpa': 6.241509074e-3, 'bar': 6.241509074e-7}
#: Largest difference in Ha between the energies of a frame in log and trajectory, which is written with ten decimals.
SAME_ENERGY = 1e-8

#: Number of atoms of a block of an XYZ file.
_COUNT = re.compile(r'\d{1,9}', re.ASCII)
_CONVERGED = re.compile(r'SCF run converged in|outer SCF loop converged in')
_NOT_CONVERGED = re.compile(r'SCF run NOT converged|outer SCF loop FAILED to converge')
_AT_REST = 'GEOMETRY OPTIMIZATION COMPLETED'
_ENERGY = re.compile(r'ENERGY\| Total FORCE_EVAL \(.*\) energy [\[(](.+)[\])]:?\s+(\S+)\s*$')
_STRESS = re.compile(r'STRESS\| Analytical stress tensor \[(\w+)\]')
_STRESS_ROW = re.compile(r'STRESS\|\s+[xyz]\s+(\S+)\s+(\S+)\s+(\S+)\s*$')


class Evaluation(NamedTuple):
    """One evaluation in the log: energy in Ha, and stress (3, 3) in eV/A^3 with the sign of CP2K."""

    energy: float
    stress: NDArray[np.float64]
    converged: bool


class _Block(NamedTuple):
    symbols: tuple[str, ...]
    energy: float
    numbers: NDArray[np.float64]


def read_frames(
    positions: str, forces: str, cells: str, output: str, relaxation: bool = False
) -> list[CalculatedFrame]:
    """Return the frames of a run from the text of its files; frames truncated by a kill are omitted.

    Frames are matched by their order: in a reference trajectory every step has the number 1.

    :param positions: ``-pos-1.xyz``, with the energies.
    :param forces: ``-frc-1.xyz``.
    :param cells: ``-1.cell``.
    :param output: log of CP2K, with stress and convergence of each frame.
    :param relaxation: whether the run is a relaxation, whose trajectory lacks the initial frame.
    :returns: frames with energies (eV), forces (eV/A) and virials (eV).
    :raises UnreadableError: if a file is damaged, log and trajectory disagree on the energy of a frame, a unit is
        unknown, or the release of CP2K is not supported.
    """
    if (release := release_of(output)) and not FIRST <= release <= LAST:
        raise UnreadableError('The log is that of CP2K {}.{}: {} are read.'.format(*release, SUPPORTED))
    with reading('the output of CP2K', 'give the files of one run, as CP2K wrote them'):
        return _read_frames(positions, forces, cells, output, relaxation)


def _read_frames(positions: str, forces: str, cells: str, output: str, relaxation: bool) -> list[CalculatedFrame]:
    frames = []
    done = evaluations(output)[1 if relaxation else 0 :]
    rows = zip(_blocks(positions), _blocks(forces), _cells(cells), done, strict=False)
    for number, (places, pulls, cell, evaluation) in enumerate(rows):
        if pulls.symbols != places.symbols:
            raise UnreadableError(
                f'Positions and forces of frame {number} of CP2K are those of other atoms: give the files of one run.'
            )
        if not abs(places.energy - evaluation.energy) <= SAME_ENERGY:
            raise UnreadableError(
                f'Log and trajectory of CP2K disagree on the energy of frame {number}: give the files of one run.'
            )
        frames.append(
            CalculatedFrame(
                symbols=places.symbols,
                cell=cell,
                positions=places.numbers,
                energy=evaluation.energy * HARTREE,
                forces=pulls.numbers * (HARTREE / BOHR),
                # CP2K prints a pressure tensor, minus the stress, so that the virial is its product with the volume.
                virial=evaluation.stress * abs(float(np.linalg.det(cell))),
                converged=evaluation.converged,
            )
        )
    if frames and relaxation and _AT_REST in output:
        frames[-1] = replace(frames[-1], at_rest=True)
    return frames


def evaluations(output: str) -> list[Evaluation]:
    """Return the evaluations in the log that are complete up to their stress.

    Convergence is the last statement of CP2K on the SCF before the energy; without a statement an evaluation is not
    converged.

    :param output: log of CP2K.
    :raises UnreadableError: if the unit of energy or stress is unknown.
    """
    found: list[Evaluation] = []
    converged, energy = False, None
    unit: str | None = None
    rows: list[list[float]] = []
    for line in _whole_lines(output):
        if _NOT_CONVERGED.search(line):
            converged = False
        elif _CONVERGED.search(line):
            converged = True
        elif match := _ENERGY.search(line):
            energy = float(match[2])
            if match[1].lower() not in ENERGY_UNITS:
                raise UnreadableError(
                    f'CP2K prints energies in {line_of(match[1])}: remove ENERGY_UNIT from its input.'
                )
        elif match := _STRESS.search(line):
            unit, rows = match[1].lower(), []
            if unit not in STRESS_UNITS:
                raise UnreadableError(
                    f'CP2K prints stress in {line_of(match[1])}, not in GPa or bar: remove STRESS_UNIT.'
                )
        elif unit and energy is not None and (match := _STRESS_ROW.search(line)):
            rows.append([float(number) for number in match.groups()])
            if len(rows) == 3:
                found.append(Evaluation(energy, np.array(rows) * STRESS_UNITS[unit], converged))
                converged, energy, unit = False, None, None
    return found


def _whole_lines(text: str) -> list[str]:
    """Return the complete lines; a truncated number cannot be recognised as such."""
    return text[: text.rfind('\n') + 1].splitlines()


def _cells(text: str) -> list[NDArray[np.float64]]:
    """Return the lattice vectors in each row of a cell file: step, time, nine components, volume."""
    fields = [line.split() for line in _whole_lines(text) if not line.startswith('#')]
    return [np.array(row[2:11], dtype=float).reshape(3, 3) for row in fields if len(row) == 12]


def _blocks(text: str) -> Iterator[_Block]:
    """Yield every complete block of an XYZ file, with its energy in Ha."""
    lines = _whole_lines(text)
    start = 0
    while start + 1 < len(lines) and _COUNT.fullmatch(lines[start].strip()):
        atoms = int(lines[start])
        rows = [line.split() for line in lines[start + 2 : start + 2 + atoms]]
        match = re.search(r'E =\s*(\S+)', lines[start + 1])
        if len(rows) < atoms or match is None:
            return
        numbers = np.array([row[1:4] for row in rows], dtype=float)
        yield _Block(tuple(row[0] for row in rows), float(match[1]), numbers)
        start += 2 + atoms
