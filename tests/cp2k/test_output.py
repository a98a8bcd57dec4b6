"""CP2K's files, as CP2K 2023.1 wrote them: a hydrogen molecule, twice as given and once in a stretched cell.

Nine steps of SCF suffice for the first and the third frame, not for the second, whose bond is broken. The log is cut to
the evaluations.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from aiida_dpasse.cp2k.output import BOHR, HARTREE, evaluations, read_frames
from aiida_dpasse.cp2k.releases import release_of

FIXTURES = Path(__file__).parent / 'fixtures'
NAMES = ('aiida-pos-1.xyz', 'aiida-frc-1.xyz', 'aiida-1.cell', 'aiida.out')
SHARED = Path(__file__).parents[3] / 'shared' / 'cases' / 'files' / 'cp2k_2025'
TEXTS = [(FIXTURES / name).read_text() for name in NAMES]


def test_frames_have_the_numbers_of_the_files_in_our_units():
    first, broken, stretched = read_frames(*TEXTS)
    assert [frame.converged for frame in (first, broken, stretched)] == [True, False, True]
    assert first.symbols == ('H', 'H')
    assert first.energy == -1.150077761502655 * HARTREE
    assert broken.positions.tolist() == [[-0.9, 0.2, 0.3], [0.85, 0.5, 0.4]]
    assert stretched.cell.tolist() == [[4.08, 0, 0], [0.306, 4.2, 0], [0, 0.2, 4.4]]
    assert first.forces[0] == pytest.approx(np.array(TEXTS[1].splitlines()[2].split()[1:], float) * HARTREE / BOHR)
    # 160.2176634 GPa are 1 eV/A^3; the molecule is compressed, so that the energy falls with the strain.
    assert first.virial[0, 0] == pytest.approx(-7.10635763252 / 160.2176634 * 73.92, rel=1e-9)
    assert first.virial[0, 1] == first.virial[1, 0] == pytest.approx(-1.56329577652 / 160.2176634 * 73.92, rel=1e-9)
    slope = (stretched.energy - first.energy) / 0.02
    assert -(first.virial[0, 0] + stretched.virial[0, 0]) / 2 == pytest.approx(slope, rel=0.02)


def test_a_log_cut_anywhere_gives_the_frames_that_are_whole():
    *files, log = TEXTS
    energies = [frame.energy for frame in read_frames(*TEXTS)]
    counts = []
    for end in range(0, len(log), 7):
        frames = read_frames(*files, log[:end])
        assert [frame.energy for frame in frames] == energies[: len(frames)]
        counts.append(len(frames))
    assert sorted(set(counts)) == [0, 1, 2, 3]
    assert counts == sorted(counts)


@pytest.mark.parametrize('cut', range(3))
def test_a_file_cut_anywhere_gives_the_frames_that_are_whole(cut):
    whole = read_frames(*TEXTS)
    for end in range(len(TEXTS[cut])):
        texts = [text[:end] if index == cut else text for index, text in enumerate(TEXTS)]
        for frame, full in zip(read_frames(*texts), whole, strict=False):
            for name in ('positions', 'forces', 'cell', 'virial'):
                assert np.array_equal(getattr(frame, name), getattr(full, name))


def test_no_files_no_frames():
    assert read_frames('', '', '', '') == []


def test_a_stress_is_half_way_through_three_rows():
    rows = TEXTS[3].splitlines(keepends=True)
    second = next(index for index, line in enumerate(rows) if line.startswith(' STRESS|      y'))
    assert evaluations(''.join(rows[: second + 1])) == []
    assert len(evaluations(''.join(rows[: second + 2]))) == 1


def test_convergence_is_what_the_log_says_last():
    log = TEXTS[3]
    silent = log.replace('*** SCF run converged in     9 steps ***', '')
    assert [found.converged for found in evaluations(silent)] == [False, False, False]
    # With orbital transformation the last word is that of the outer loop.
    said = '  outer SCF loop FAILED to converge after    3 iterations or    6 steps'
    outer = log.replace('steps ***\n', f'steps ***\n{said}\n')
    assert [found.converged for found in evaluations(outer)] == [False, False, False]
    assert evaluations(outer.replace('FAILED to converge after', 'converged in'))[0].converged


def test_files_of_different_runs_are_refused():
    positions, *others = TEXTS
    with pytest.raises(ValueError, match='energy of frame 1'):
        read_frames(positions.replace('-0.9882899017', '-0.9882898017'), *others)


#: How each major release since 2022 writes energy and stress, after its sources: the words after `energy`, and the unit
#: of stress. From 2024.2 on a gap and a free energy stand beside the energy where they are known.
RELEASES = {
    '2022.1': (' [a.u.]:', 'GPa'),
    '2023.1': (' [a.u.]:', 'GPa'),
    '2024.1': (' [a.u.]:', 'GPa'),
    '2024.3': (' [a.u.]:', 'GPa'),
    '2025.1': (' [hartree]', 'bar'),
    '2025.2': (' [Hartree]', 'GPA'),
    '2026.2': (' [hartree]', 'bar'),
}
HEAD = ' CP2K| version string:                                       CP2K version {}\n'


def log_of(release: str) -> str:
    """The fixture as another release would have written it."""
    energy, unit = RELEASES[release]
    lines = []
    for line in TEXTS[3].splitlines():
        if 'ENERGY|' in line:
            lines.append(line.replace(' [a.u.]:', energy))
            for name in ('gap', 'free energy') if release >= '2024.2' else ():
                lines += ['', f'{line.split(" energy")[0]} {name}{energy}            -9.123456789012345']
        elif unit == 'bar' and re.match(r' STRESS\|\s+[xyz]\s+\S+E', line):
            row = ' '.join(f'{float(number) * 1e4:19.11E}' for number in line.split()[2:])
            lines.append(f'{line[:20]} {row}')
        else:
            lines.append(line.replace('tensor [GPa]', f'tensor [{unit}]'))
    return HEAD.format(release) + '\n'.join(lines) + '\n'


@pytest.mark.parametrize('release', RELEASES)
def test_every_major_release_since_2022_is_read(release):
    known = read_frames(*TEXTS)
    found = read_frames(*TEXTS[:3], log_of(release))
    assert [frame.converged for frame in found] == [True, False, True]
    assert [frame.energy for frame in found] == [frame.energy for frame in known]
    for frame, other in zip(found, known, strict=True):
        assert frame.virial == pytest.approx(other.virial, rel=1e-9)


@pytest.mark.parametrize('release', ['7.1', '9.1', '2021.1', '2026.3', '2027.1'])
def test_another_release_is_refused(release):
    """Its units and its words for convergence are not known."""
    with pytest.raises(ValueError, match=rf'{re.escape(release)}.*2022\.1 to 2026\.2'):
        read_frames(*TEXTS[:3], HEAD.format(release) + TEXTS[3])
    assert release_of(HEAD.format(f'{release} (Development Version)')) == tuple(map(int, release.split('.')))


def test_energy_in_another_unit():
    with pytest.raises(ValueError, match='ENERGY_UNIT'):
        evaluations(log_of('2025.1').replace(' energy [hartree]', ' energy [eV]'))


def test_stress_in_another_unit():
    in_bar = TEXTS[3].replace('[GPa]', '[bar]')
    found, known = evaluations(in_bar)[0], evaluations(TEXTS[3])[0]
    assert found.stress == pytest.approx(known.stress * 1e-4)
    with pytest.raises(ValueError, match='kbar'):
        evaluations(TEXTS[3].replace('[GPa]', '[kbar]'))


@pytest.mark.skipif(not SHARED.is_dir(), reason='the shared cases are not beside this repository')
def test_the_case_of_2025():
    found = read_frames(*[(SHARED / name).read_text() for name in NAMES])
    assert [frame.converged for frame in found] == [True, False, True]
