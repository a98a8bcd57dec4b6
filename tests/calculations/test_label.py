"""Label jobs with the real calculators and a real teacher: every frame comes back with a verdict."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_dpasse.calculations.driver import check_manifest
from aiida_dpasse.calculations.label import LabelCalculation
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.labels.records import without_cut_run
from aiida_dpasse.structures.perturb import perturb
from aiida_dpasse.structures.prototypes import argyrodite

DYNAMICS = {'temperature': 300.0, 'steps': 4, 'interval': 2, 'seed': 3}

#: The owner of the computer allows the calculators below.
ALLOWED = '\nexport AIIDA_DPASSE_CALCULATORS=deadly,slow'
SLOW = """
import time
from ase.calculators.emt import EMT

class Slow(EMT):
    def calculate(self, *arguments, **options):
        time.sleep(1)
        super().calculate(*arguments, **options)
"""

DEADLY = """
import os, signal
from ase.calculators.emt import EMT

class Deadly(EMT):
    frames = 0

    def calculate(self, *arguments, **options):
        self.frames += 1
        if self.frames == 6:
            os.kill(os.getpid(), signal.SIGKILL)
        super().calculate(*arguments, **options)
"""


def crystal(structure, number: int, displacement: float = 0.1) -> FrameSet:
    """Perturbed frames of a pymatgen structure."""
    drawn = perturb(structure, number, cell_fraction=0.02, displacement=displacement, seed=4)
    return FrameSet.sort_atoms(
        [site.specie.symbol for site in structure],
        [item.structure.lattice.matrix for item in drawn],
        [item.structure.cart_coords for item in drawn],
        sources='structures',
    )


def copper(number: int) -> FrameSet:
    """Rattled copper."""
    atoms = bulk('Cu', cubic=True)
    moves = np.random.default_rng(1).normal(scale=0.05, size=(number, len(atoms), 3))
    cells = np.tile(atoms.cell.array, (number, 1, 1))
    return FrameSet(symbols=('Cu',) * len(atoms), cells=cells, positions=atoms.positions + moves)


def overlapping() -> FrameSet:
    """Two copper atoms so near that EMT's force is far above any threshold, and yet allowed by the
    distance."""
    return FrameSet(symbols=('Cu', 'Cu'), cells=[np.eye(3) * 8], positions=[[[0, 0, 0], [0.9, 0, 0]]])


def strange() -> FrameSet:
    """An element that EMT does not know."""
    return FrameSet(symbols=('U',), cells=[np.eye(3) * 4], positions=[[[0, 0, 0]]])


def inputs(code, sets, calculator=None, parameters=None, **rest) -> dict:
    """Inputs of a label job."""
    given = {
        'code': code,
        'frames': FramesData.from_sets(sets),
        'parameters': orm.Dict(parameters or {}),
        **rest,
    }
    if calculator is not None:
        given['calculator'] = orm.Dict(calculator)
    return given


def check(account: orm.Dict, frames: FramesData | None) -> None:
    """The account adds up and agrees with the frames."""
    assert account['requested'] == account['admitted'] + len(account['rejected']) + len(account['failed'])
    assert account['admitted'] == (frames.frames if frames else 0)


def test_chgnet_labels_the_good_and_rejects_the_bad(python_code):
    good = crystal(argyrodite('Cl', primitive=True), 1)
    close = FrameSet(symbols=('Li', 'S'), cells=[np.eye(3) * 6], positions=[[[0, 0, 0], [0.4, 0, 0]]])
    strong = FrameSet(symbols=('Li', 'Li'), cells=[np.eye(3) * 4], positions=[[[0, 0, 0], [0.9, 0, 0]]])
    given = inputs(python_code, [good, close, strong], {'name': 'chgnet', 'use_device': 'cpu'}, {'max_force': 5})
    results, node = run_get_node(LabelCalculation, **given)
    assert node.is_finished_ok, node.exit_message
    check(results['account'], results['frames'])
    assert results['frames'].labels == ['energy', 'force', 'virial']
    [labelled] = results['frames'].sets()
    assert list(labelled.ids) == list(good.ids)
    assert -5 < labelled.energies[0] / 13 < -4
    assert {entry['id'] for entry in results['account']['rejected']} == {
        str(close.ids[0]),
        str(strong.ids[0]),
    }


def test_every_kind_of_frame_has_its_place_in_the_account(python_code):
    given = inputs(python_code, [copper(3), overlapping(), strange()], {'name': 'emt'})
    results, node = run_get_node(LabelCalculation, **given)
    assert node.is_finished_ok, node.exit_message
    account = results['account']
    check(account, results['frames'])
    assert (account['requested'], account['admitted']) == (5, 3)
    assert account['rejected'][0]['reason'].startswith('a force is')
    assert account['failed'][0]['reason'].startswith('NotImplementedError')


def test_numbers_that_are_not_finite_are_no_labels(python_code):
    calculator = {'name': 'lj', 'epsilon': 1e308, 'sigma': 9.0, 'rc': 20.0}
    results, node = run_get_node(LabelCalculation, **inputs(python_code, [copper(2)], calculator))
    assert node.exit_status == LabelCalculation.exit_codes.ERROR_NO_FRAME_ADMITTED.status
    assert '2 frames' in node.exit_message
    assert 'frames' not in results
    check(results['account'], None)


def test_a_labeller_that_cannot_start_says_so(python_code):
    given = inputs(python_code, [copper(2)], {'name': 'no_such_module:Calculator'})
    results, node = run_get_node(LabelCalculation, **given)
    assert node.exit_status == LabelCalculation.exit_codes.ERROR_LABELLER.status
    assert 'no_such_module' in node.exit_message
    assert len(results['account']['failed']) == 2


def test_a_killed_job_returns_what_it_finished(localhost, python_code, tmp_path):
    """The driver is killed in its sixth frame, by a calculator that does not survive it."""
    (tmp_path / 'deadly.py').write_text(DEADLY)
    code = orm.InstalledCode(
        computer=localhost,
        filepath_executable=str(python_code.filepath_executable),
        label='killed-python',
        prepend_text=f'{python_code.prepend_text}\nexport PYTHONPATH={tmp_path}:$PYTHONPATH{ALLOWED}',
    ).store()
    given = inputs(code, [copper(9)], {'name': 'deadly:Deadly'})
    results, node = run_get_node(LabelCalculation, **given)
    assert node.exit_status == LabelCalculation.exit_codes.ERROR_INTERRUPTED.status
    check(results['account'], results['frames'])
    assert results['account']['admitted'] == 5
    assert [entry['id'] for entry in results['account']['failed']] == given['frames'].ids()[5:]
    assert results['frames'].ids() == given['frames'].ids()[:5]


def test_a_job_that_never_started_has_no_result(localhost):
    code = orm.InstalledCode(computer=localhost, filepath_executable='/bin/false', label='false').store()
    _, node = run_get_node(LabelCalculation, **inputs(code, [copper(1)], {'name': 'emt'}))
    assert node.exit_status == LabelCalculation.exit_codes.ERROR_NO_RESULT.status


def test_dynamics_is_sampled_with_its_origin(python_code):
    given = inputs(python_code, [copper(2)], {'name': 'emt'}, {'dynamics': DYNAMICS})
    results, node = run_get_node(LabelCalculation, **given)
    assert node.is_finished_ok, node.exit_message
    check(results['account'], results['frames'])
    assert results['account']['requested'] == 6
    [item] = results['frames'].sets()
    assert list(item.steps) == [-1, 2, 4] * 2
    assert list(item.sources) == ['', 'frames', 'frames'] * 2
    assert list(item.ids)[::3] == given['frames'].ids()


def test_a_teacher_gives_its_own_labels(python_code, tiny_potential, tiny_frames):
    """Energies and forces are those that the potential gives in ASE: two roads to the same numbers."""
    given = inputs(python_code, [tiny_frames.with_labels()], parameters={'max_force': 1000}, potential=tiny_potential)
    results, node = run_get_node(LabelCalculation, **given)
    assert node.is_finished_ok, node.exit_message
    check(results['account'], results['frames'])
    [item] = results['frames'].sets()
    assert len(item) == len(tiny_frames)
    script = (
        'import sys, json; from ase import Atoms; from deepmd.calculator import DP\n'
        'symbols, cell, positions, path = json.load(sys.stdin)\n'
        'atoms = Atoms(symbols, positions=positions, cell=cell, pbc=True, calculator=DP(model=path))\n'
        'stress = atoms.get_stress(voigt=False)\n'
        'print(json.dumps([atoms.get_potential_energy(), (-atoms.get_volume() * stress).tolist()]))'
    )
    with tiny_potential.as_path() as path:
        done = subprocess.run(
            [str(python_code.filepath_executable), '-c', script],
            input=json.dumps([item.symbols, item.cells[1].tolist(), item.positions[1].tolist(), str(path)]),
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    energy, virial = json.loads(done.stdout.splitlines()[-1])
    assert item.energies[1] == pytest.approx(energy, abs=1e-6)
    assert item.virials[1] == pytest.approx(np.array(virial), abs=1e-5)


def test_refusals_before_anything_is_submitted(python_code, tiny_potential):
    cases = [
        (inputs(python_code, [copper(1)]), 'give one of them to label with; neither is given'),
        (inputs(python_code, [copper(1)], {'name': 'emt'}, potential=tiny_potential), 'both are given'),
        (inputs(python_code, [copper(1)], potential=tiny_potential), 'does not know Cu'),
        (inputs(python_code, [copper(1)], {'xc': 'PBE'}), 'calculator: `name` should be'),
        (inputs(python_code, [copper(1)], {'name': 'nosuch'}), "calculator: `name` should be .* got 'nosuch'"),
        (inputs(python_code, [copper(1)], {'name': 'my module:Class'}), 'calculator: `name` should be'),
        (inputs(python_code, [copper(1)], {'name': 'module:'}), 'calculator: `name` should be'),
        (
            inputs(python_code, [copper(1)], {'name': 'emt'}, {'max_force': -1}),
            '`max_force` should be greater than 0',
        ),
        (
            inputs(python_code, [copper(1)], {'name': 'emt'}, {'dynamics': {**DYNAMICS, 'temperature': 0}}),
            '`dynamics.temperature` should be greater than 0',
        ),
        (
            inputs(python_code, [copper(1)], {'name': 'emt'}, {'dynamics': {**DYNAMICS, 'interval': 9}}),
            r'`interval` \(9\) should not be greater than `steps` \(4\)',
        ),
        (inputs(python_code, [copper(1)], {'name': 'emt'}, {'max_forces': 1}), '`max_forces`'),
    ]
    for given, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            run_get_node(LabelCalculation, **given)


def test_a_job_ends_before_its_time_limit_with_what_it_finished(localhost, python_code, tmp_path):
    (tmp_path / 'slow.py').write_text(SLOW)
    code = orm.InstalledCode(
        computer=localhost,
        filepath_executable=str(python_code.filepath_executable),
        label='slow-python',
        prepend_text=f'{python_code.prepend_text}\nexport PYTHONPATH={tmp_path}:$PYTHONPATH{ALLOWED}',
    ).store()
    given = inputs(code, [copper(9)], {'name': 'slow:Slow'})
    given['metadata'] = {'options': {'max_wallclock_seconds': 10}}
    results, node = run_get_node(LabelCalculation, **given)
    assert node.exit_status == LabelCalculation.exit_codes.ERROR_INTERRUPTED.status
    assert 'time limit' in node.exit_message
    check(results['account'], results['frames'])
    admitted = results['account']['admitted']
    assert 1 <= admitted <= 5
    assert results['frames'].ids() == given['frames'].ids()[:admitted]
    assert sorted(results['account']['unreached']) == sorted(given['frames'].ids()[admitted:])


def test_a_run_that_was_cut_short_is_dropped_if_others_are_whole():
    dynamics = {'steps': 4, 'interval': 2}
    names = ['a', 'a:2', 'a:4', 'b', 'b:2']
    records = [{'id': name} for name in names]
    assert [record['id'] for record in without_cut_run(records, dynamics)] == names[:3]
    assert [record['id'] for record in without_cut_run(records[3:], dynamics)] == names[3:]
    assert without_cut_run(records[:3], dynamics) == records[:3]
    assert without_cut_run(records, None) == records


def test_a_flipped_byte_is_noticed(python_code):
    _, node = run_get_node(LabelCalculation, **inputs(python_code, [copper(3)], {'name': 'emt'}))
    assert node.is_finished_ok, node.exit_message
    repository = node.outputs.retrieved.base.repository
    whole = {
        str(root / name): repository.get_object_content(str(root / name), mode='rb')
        for root, _, names in repository.walk()
        for name in names
    }
    [force] = [name for name in whole if name.endswith('force.npy')]
    flipped = bytearray(whole[force])
    flipped[-3] ^= 1
    missing = {name: data for name, data in whole.items() if name != force}
    for files, reason in (
        (whole, None),
        ({**whole, force: bytes(flipped)}, 'force.npy is not what the driver wrote'),
        ({**whole, force: whole[force][:-8]}, f'bytes, the driver wrote {len(whole[force])}'),
        (missing, 'force.npy is missing'),
    ):
        folder = orm.FolderData()
        for name, data in files.items():
            folder.base.repository.put_object_from_bytes(data, name)
        found = check_manifest(folder)
        assert found is None if reason is None else reason in found
