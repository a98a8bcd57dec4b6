"""Labels by a program of one's own that reads and writes extended XYZ."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.label.label import LabelWorkChain
from aiida_dpasse.reports.provenance import orphans

#: What a group writes to bring its own code: here EMT, which turns the atoms round, skips one and fails on another.
PROGRAM = """#!{python}
import sys
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

labelled = []
for index, atoms in enumerate(read(sys.argv[1], ':', format='extxyz')):
    atoms = atoms[::-1]
    atoms.calc = EMT()
    results = {{'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces(), 'stress': atoms.get_stress()}}
    atoms.calc = SinglePointCalculator(atoms, **results)
    if len(atoms) == 2:
        atoms.info['converged'] = False
    if len(atoms) != 3:
        labelled.append(atoms)
write(sys.argv[2], labelled, format='extxyz')
"""


def crystal(symbols: str, seed: int, number: int = 3) -> FrameSet:
    """Rattled cubic cells of copper and gold."""
    atoms = bulk('Cu', cubic=True)
    rng = np.random.default_rng(seed)
    count = len(symbols.split())
    positions = atoms.positions[:count] + rng.normal(scale=0.1, size=(number, count, 3))
    return FrameSet.sort_atoms(symbols.split(), np.tile(atoms.cell.array, (number, 1, 1)), positions)


def run(localhost, tmp_path, program, sets, **overrides):
    """Label ``sets`` with ``program`` and return outputs and node."""
    path = tmp_path / 'my_code'
    path.write_text(program.format(python=sys.executable))
    path.chmod(0o755)
    code = orm.InstalledCode(computer=localhost, filepath_executable=str(path), label='my-code').store()
    builder = LabelWorkChain.get_builder_from_protocol(
        {'shell': code}, protocol='fast', overrides=overrides, frames=FramesData.from_sets(sets)
    )
    return run_get_node(builder)


def test_a_program_of_ones_own_labels_and_every_frame_is_accounted_for(localhost, tmp_path):
    good = [crystal('Cu Au Cu Au', 1), crystal('Cu Cu Cu Cu', 2)]
    skipped, unconverged = crystal('Cu Cu Cu', 3, 1), crystal('Cu Cu', 4, 2)
    touching = FrameSet(('Cu', 'Cu'), [np.eye(3) * 8], [[[0, 0, 0], [0.1, 0, 0]]])
    results, node = run(
        localhost, tmp_path, PROGRAM, [*good, skipped, unconverged, touching], batch_size=5, minimum_success=0.1
    )
    assert node.is_finished_ok, node.exit_message
    account = results['account']
    assert (account['requested'], account['admitted'], account['retried']) == (10, 6, 3)
    [rejected] = account['rejected']
    assert '0.10 A' in rejected['reason']
    assert sorted(entry['reason'] for entry in account['failed']) == [
        'it is not in labels.xyz',
        *['the program reports: not converged'] * 2,
    ]
    for item in results['frames'].sets():
        for index, atoms in enumerate(FramesData.from_sets([item.with_labels()]).to_ase()):
            atoms.calc = EMT()
            # Extended XYZ writes eight decimals of a position.
            assert item.energies[index] == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
            assert item.forces[index] == pytest.approx(atoms.get_forces(), abs=1e-5)
            assert item.virials[index] == pytest.approx(-atoms.get_volume() * atoms.get_stress(voigt=False), abs=1e-4)
    assert set(results['frames'].ids()) == {str(i) for item in good for i in item.ids}
    assert orphans(node) == []


def test_a_program_that_writes_nothing_fails_on_every_frame(localhost, tmp_path):
    results, node = run(localhost, tmp_path, '#!{python}\n', [crystal('Cu Cu Cu Cu', 5)])
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_FRAME_ADMITTED.status
    assert all('labels.xyz' in entry['reason'] for entry in results['account']['failed'])
    assert 'frames' not in results


def test_an_audit_admits_and_notes_what_strict_rejects(localhost, tmp_path):
    given = crystal('Cu Cu Cu Cu', 6, 4)
    results, node = run(localhost, tmp_path, PROGRAM, [given], max_force=1e-3, mode='audit')
    assert node.is_finished_ok
    assert results['account']['admitted'] == 4
    assert {entry['id'] for entry in results['account']['objections']} == set(results['frames'].ids())
    assert all('above 0.001 eV/A' in entry['reason'] for entry in results['account']['objections'])


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'shell': {'arguments': ['out.xyz']}}, r'`shell\.arguments`.*\{frames\}'),
        ({'mode': 'lenient'}, '`mode`'),
    ],
)
def test_refusals(localhost, tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(localhost, tmp_path, PROGRAM, [crystal('Cu Cu Cu Cu', 5)], **changes)
