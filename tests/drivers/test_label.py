"""The labelling driver: the account contains every frame."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from scipy.optimize import brentq

from aiida_dpasse.deepmd.dataset import read_dataset, write_dataset
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers import label
from aiida_dpasse.drivers.dynamics import temperatures
from aiida_dpasse.labels.records import collect, read_journal, requested_ids

LIMITS = {'max_force': 20.0, 'minimum_distance': 0.8, 'dynamics': None}
DYNAMICS = {
    'temperature': 300.0,
    'final_temperature': None,
    'steps': 10,
    'interval': 4,
    'timestep': 2.0,
    'friction': 0.02,
    'seed': 3,
}


def copper(frames: int = 3, seed: int = 1) -> FrameSet:
    """Rattled cells of four copper atoms."""
    atoms = bulk('Cu', cubic=True)
    rng = np.random.default_rng(seed)
    positions = atoms.positions + rng.normal(scale=0.05, size=(frames, 4, 3))
    return FrameSet(
        symbols=('Cu',) * 4,
        cells=np.tile(atoms.cell.array, (frames, 1, 1)),
        positions=positions,
        sources='structures__cu',
        steps=range(frames),
        reasons='perturbed',
    )


def squeezed(shortest: float) -> FrameSet:
    """Two copper atoms this far apart."""
    return FrameSet(
        symbols=('Cu', 'Cu'),
        cells=[np.eye(3) * 8],
        positions=[[[0, 0, 0], [shortest, 0, 0]]],
        reasons='squeezed',
    )


def strange() -> FrameSet:
    """An element that EMT does not know."""
    return FrameSet(symbols=('U',), cells=[np.eye(3) * 4], positions=[[[0, 0, 0]]])


def run(tmp_path, monkeypatch, sets, calculator, **limits):
    """Run the driver in an empty folder and return its account and the accepted sets."""
    monkeypatch.chdir(tmp_path)
    write_dataset(sets, 'frames')
    job = {'calculator': calculator, 'potential': None, 'parameters': {**LIMITS, **limits}}
    (tmp_path / 'job.json').write_text(json.dumps(job))
    assert label.main(['job.json']) == 0
    result = json.loads((tmp_path / 'output.json').read_text())
    assert not (tmp_path / 'journal.jsonl').exists()
    account = result['account']
    assert account['requested'] == account['admitted'] + len(account['rejected']) + len(account['failed'])
    admitted = read_dataset(tmp_path / 'output' / 'frames') if account['admitted'] else []
    assert account['admitted'] == sum(len(item) for item in admitted)
    return result, admitted


def test_good_frames_keep_identity_and_origin(tmp_path, monkeypatch):
    given = copper()
    result, [admitted] = run(tmp_path, monkeypatch, [given], {'name': 'emt'})
    assert result['error'] is None
    assert list(admitted.ids) == list(given.ids)
    assert admitted.labels == ('energy', 'force', 'virial')
    assert list(admitted.steps) == [0, 1, 2]
    assert set(admitted.sources) == {'structures__cu'}
    assert set(admitted.reasons) == {'perturbed'}


def test_each_bad_frame_ends_with_its_reason(tmp_path, monkeypatch):
    sets = [copper(2), squeezed(0.5), squeezed(1.2), strange()]
    result, admitted = run(tmp_path, monkeypatch, sets, {'name': 'emt'})
    account = result['account']
    assert account['requested'] == 5
    assert [len(item) for item in admitted] == [2]
    close, strong = account['rejected']
    assert close['id'] == str(sets[1].ids[0])
    assert '0.50 A' in close['reason']
    assert '0.8 A' in close['reason']
    assert strong['reason'].startswith('a force is ')
    assert strong['reason'].endswith('above 20.0 eV/A')
    [failed] = account['failed']
    assert failed['id'] == str(sets[3].ids[0])
    assert failed['reason'].startswith('NotImplementedError')


def test_numbers_that_are_not_finite_are_rejected(tmp_path, monkeypatch):
    sets = [squeezed(3.0)]
    calculator = {'name': 'lj', 'epsilon': 1e308, 'sigma': 9.0, 'rc': 20.0}
    result, _ = run(tmp_path, monkeypatch, sets, calculator)
    assert result['account']['rejected'][0]['reason'] == 'an energy, force or virial is not finite'


def test_a_labeller_that_does_not_start_fails_every_frame(tmp_path, monkeypatch):
    result, admitted = run(tmp_path, monkeypatch, [copper()], {'name': 'no_such_module:Calculator'})
    assert '`no_such_module:Calculator`' in result['error']
    assert len(result['account']['failed']) == 3
    assert admitted == []


def test_dynamics_samples_and_is_replayable(tmp_path, monkeypatch):
    runs = []
    for name, seed in (('a', 3), ('b', 3), ('c', 4)):
        folder = tmp_path / name
        folder.mkdir()
        settings = {'dynamics': {**DYNAMICS, 'seed': seed}}
        result, [admitted] = run(folder, monkeypatch, [copper(2)], {'name': 'emt'}, **settings)
        assert result['account']['requested'] == 6
        runs.append(admitted)
    assert list(runs[0].steps) == [0, 4, 8, 1, 4, 8]  # step 0 keeps the origin of the frame it starts from
    assert list(runs[0].sources) == ['structures__cu', 'frames', 'frames'] * 2
    assert runs[0].reasons[1] == 'dynamics at 300 K'
    assert list(runs[0].ids) == list(runs[1].ids)
    assert list(runs[0].ids)[1] != list(runs[2].ids)[1]


def test_dynamics_of_a_frame_does_not_depend_on_the_job_it_is_in(tmp_path, monkeypatch):
    frames = copper(2)
    together, alone = tmp_path / 'together', tmp_path / 'alone'
    together.mkdir()
    alone.mkdir()
    _, [both] = run(together, monkeypatch, [frames], {'name': 'emt'}, dynamics=DYNAMICS)
    _, [one] = run(alone, monkeypatch, [frames.take([1])], {'name': 'emt'}, dynamics=DYNAMICS)
    # Not bit by bit: a calculator's neighbour list remembers the frame before, which changes the order of its
    # sums.
    assert np.allclose(one.positions, both.positions[3:], atol=1e-9)
    assert not np.allclose(one.positions, both.positions[:3], atol=1e-2)


def test_dynamics_of_bad_frames_is_accounted_for(tmp_path, monkeypatch):
    sets = [copper(1), squeezed(0.5), strange()]
    result, admitted = run(tmp_path, monkeypatch, sets, {'name': 'emt'}, dynamics=DYNAMICS)
    account = result['account']
    assert (account['requested'], account['admitted']) == (9, 3)
    first = str(sets[1].ids[0])
    assert [entry['id'] for entry in account['rejected']] == [first, f'{first}:4', f'{first}:8']
    assert [entry['reason'].split(':')[0] for entry in account['failed']] == ['NotImplementedError'] * 3
    assert len(admitted) == 1


def test_dynamics_that_explodes_ends_early(tmp_path, monkeypatch):
    settings = {**DYNAMICS, 'timestep': 1e6}
    result, _ = run(tmp_path, monkeypatch, [copper(1)], {'name': 'emt'}, dynamics=settings)
    assert result['account']['requested'] == 3
    assert result['account']['admitted'] < 3


def test_temperature_rises_evenly():
    settings = {**DYNAMICS, 'steps': 5, 'final_temperature': 700.0}
    assert list(temperatures(settings)) == [300, 400, 500, 600, 700]
    assert list(temperatures(DYNAMICS)) == [300.0] * 10


@pytest.mark.parametrize('cut', [1, 40])
def test_a_journal_cut_off_by_a_kill_still_gives_what_was_finished(tmp_path, monkeypatch, cut):
    monkeypatch.chdir(tmp_path)
    given = copper(3)
    labeller = label.CalculatorLabeller(label.make_calculator('emt'))
    with label.Journal() as journal:
        label.label_set(given, 0, labeller, LIMITS, journal)
    text = (tmp_path / 'journal.jsonl').read_text()
    sets, account = collect(read_journal(text[: -cut - 1]), [given], requested_ids([given]), LIMITS)
    assert account['admitted'] == 2
    assert account['failed'] == [{'id': str(given.ids[2]), 'reason': 'the job ended before this frame was done'}]
    assert list(sets[0].ids) == list(given.ids)[:2]


def test_relaxation_ends_at_the_minimum(tmp_path, monkeypatch):
    def pressure(edge: float) -> float:
        atoms = bulk('Cu', cubic=True, a=edge)
        atoms.calc = EMT()
        return float(atoms.get_stress()[:3].mean())

    edge = brentq(pressure, 3.4, 3.8)
    relaxation = {'max_force': 1e-3, 'steps': 300, 'cell': True}
    given = copper(frames=2)
    result, [item] = run(tmp_path, monkeypatch, [given], {'name': 'emt'}, relaxation=relaxation)
    assert (result['account']['requested'], result['account']['admitted']) == (2, 2)
    for frame in range(2):
        assert np.linalg.det(item.cells[frame]) == pytest.approx(edge**3, rel=1e-3)
        assert np.linalg.norm(item.forces[frame], axis=1).max() < 1e-3
        assert np.abs(item.virials[frame]).max() < 5e-3
    assert item.reasons.tolist() == [f'relaxed from {identity}' for identity in given.ids]
    assert set(item.sources) == {'structures__cu'}


def test_a_frame_that_does_not_relax_has_failed(tmp_path, monkeypatch):
    relaxation = {'max_force': 1e-3, 'steps': 2, 'cell': False}
    result, sets = run(tmp_path, monkeypatch, [copper(1), strange()], {'name': 'emt'}, relaxation=relaxation)
    assert sets == []
    first, second = (entry['reason'] for entry in result['account']['failed'])
    assert '2 steps' in first
    assert 'U' in second
