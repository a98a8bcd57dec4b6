"""Labels through aiida-vasp, by a stand-in for VASP that reads the real inputs and writes the real outputs."""

from __future__ import annotations

import zipfile
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.tools.archive import create_archive
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from vasp_family import FAMILY, SECRET, runs, upload_family, vasp_code

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.label.initial_data import InitialDataWorkChain
from aiida_dpasse.label.label import LabelWorkChain
from aiida_dpasse.reports.accounting import unaccounted
from aiida_dpasse.reports.lineage import trace_frames
from aiida_dpasse.reports.provenance import orphans

MAPPING = {'Al': 'Al', 'Cu': 'Cu_pv'}
VASP = {'potential_family': FAMILY, 'potential_mapping': MAPPING, 'kpoints': {'spacing': 1.0}, 'retry': None}


@pytest.fixture(scope='module')
def family(aiida_profile, tmp_path_factory):
    """POTCARs of Al and Cu."""
    upload_family(tmp_path_factory.mktemp('potcars'), [*MAPPING.values()])


@pytest.fixture
def stand_in(localhost, family, tmp_path):
    """Return a maker of the stand-in's code and log."""
    return lambda **settings: vasp_code(localhost, tmp_path, **settings)


def alloy(frames: int, seed: int = 1, symbols: tuple[str, ...] = ('Cu', 'Al', 'Cu', 'Al')) -> FrameSet:
    """Crystals of copper and aluminium in slanted cells, displaced."""
    rng = np.random.default_rng(seed)
    cell = np.array([[3.9, 0, 0], [0.2, 3.9, 0], [0, 0.1, 3.9]])
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    cells = cell * rng.uniform(0.98, 1.02, (frames, 1, 1))
    # An atom outside the cell comes back inside it.
    positions = [sites @ box + rng.normal(0, 0.05, (4, 3)) for box in cells]
    return FrameSet.sort_atoms(symbols, cells, positions)


def label(code, sets, vasp=None, **overrides):
    """Run the chain and return outputs and node; the account adds up and every node has a creator."""
    builder = LabelWorkChain.get_builder_from_protocol(
        {'vasp': code},
        protocol='fast',
        overrides={'vasp': {**VASP, **(vasp or {})}, **overrides},
        options='local',
        frames=FramesData.from_sets(sets),
        max_iterations=2,
        max_concurrent=4,
    )
    results, node = run_get_node(builder)
    assert unaccounted(node) == []
    assert orphans(node) == []
    return results, node


def emt(item: FrameSet, frame: int) -> Atoms:
    """The frame with the stand-in's own calculator."""
    atoms = Atoms(item.symbols, item.positions[frame], cell=item.cells[frame], pbc=True)
    atoms.calc = EMT()
    return atoms


def jobs_of(node) -> list[orm.CalcJobNode]:
    """The programs that a chain ran."""
    return [call for call in node.called_descendants if isinstance(call, orm.CalcJobNode)]


def test_labels_are_those_of_the_program(stand_in, tmp_path):
    code, log = stand_in()
    given = alloy(3)
    touching = FrameSet.sort_atoms(('Al', 'Al'), [np.eye(3) * 6], [[[0, 0, 0], [0.1, 0, 0]]])
    own = {'ENCUT': 300, 'LDAU': True, 'LDAUL': {'Cu': 2}, 'LDAUU': {'Cu': 4.0}, 'MAGMOM': {'Cu': 1.5}, 'NELECT': None}
    results, node = label(code, [given, touching], vasp={'incar': own})
    assert node.is_finished_ok, node.exit_message
    [rejected] = results['account']['rejected']
    assert '0.10 A' in rejected['reason']
    [item] = results['frames'].sets()
    assert set(item.ids) == set(given.ids)
    for frame in range(len(item)):
        atoms = emt(item, frame)
        assert item.energies[frame] == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
        assert item.forces[frame] == pytest.approx(atoms.get_forces(), abs=1e-6)
        virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
        assert item.virials[frame] == pytest.approx(virial, abs=1e-4)
        assert np.abs(virial).max() > 0.1
    # The input of VASP: one job for each frame, the protocol's tags updated with ours, the density of k-points.
    assert len(runs(log)) == len(jobs_of(node)) == 3
    job = jobs_of(node)[0]
    assert job.process_type == 'aiida.calculations:vasp.vasp'
    tags = job.inputs.parameters.get_dict()
    assert {name: tags[name] for name in ('gga', 'encut', 'nsw', 'ibrion', 'isif', 'lwave')} == {
        'gga': 'PS', 'encut': 300, 'nsw': 0, 'ibrion': -1, 'isif': 2, 'lwave': False,
    }  # fmt: skip
    # U acts on copper, whose atoms follow those of aluminium.
    assert job.inputs.structure.get_ase().get_chemical_symbols() == ['Al', 'Al', 'Cu', 'Cu']
    lines = [line.split('=') for line in job.base.repository.get_object_content('INCAR').splitlines() if '=' in line]
    written = {name.strip(): value.split() for name, value in lines}
    assert {name: written[name] for name in ('LDAUL', 'LDAUU', 'MAGMOM')} == {
        **{'LDAUL': ['-1', '2'], 'LDAUU': ['0', '4.0'], 'MAGMOM': ['2*0', '2*1.5']},
    }
    assert job.inputs.kpoints.get_kpoints_mesh() == ([2, 2, 2], [0.0, 0.0, 0.0])
    assert {origin.label_job for origin in trace_frames(results['frames'])} == {job.pk for job in jobs_of(node)}
    # The licensed files stay at home.
    archive = tmp_path / 'labels.aiida'
    create_archive([node], filename=archive)
    with zipfile.ZipFile(archive) as shared:
        files = [shared.read(name) for name in shared.namelist()]
    assert any(b'a stand-in for tests' in text for text in files)
    assert not any(SECRET.encode() in text for text in files)


def test_every_fault_is_reported_and_corrected_where_possible(stand_in):
    faults = dict.fromkeys(('unconverged', 'slow', 'killed', 'truncated', 'missing_outcar', 'wrong_atoms'), 0.125)
    code, log = stand_in(faults=faults, transient=['killed', 'missing_outcar'])
    given = alloy(8, seed=37)  # each fault is met once
    results, _ = label(code, [given], minimum_success=0.1)
    met = {entry['frame']: entry['fault'] for entry in reversed(runs(log))}
    assert Counter(met.values()) == {**dict.fromkeys(faults, 1), '': 2}
    account = results['account']
    assert (account['requested'], account['admitted'], len(account['failed'])) == (8, 5, 3)
    # Every start of the program is counted, those of aiida-vasp's own handlers among them.
    assert account['calculations'] == len(runs(log)) > account['requested'] + account['retried']
    reasons = sorted(entry['reason'] for entry in account['failed'])
    assert all(name in reason for name, reason in zip(('electrons', 'positions', 'vasprun.xml'), reasons, strict=True))
    # aiida-vasp raised NELM itself, where that was enough; nothing that was good was done twice.
    assert {entry['nelm'] for entry in runs(log) if entry['fault'] == 'slow'} == {60, 150}
    assert max(Counter(entry['frame'] for entry in runs(log) if entry['good']).values()) == 1
    # No frame that did not converge is among the labels: they all have the calculator's own energy.
    for item in results['frames'].sets():
        for frame in range(len(item)):
            assert item.energies[frame] == pytest.approx(emt(item, frame).get_potential_energy(), abs=1e-6)


def test_a_vasp_that_hangs_is_stopped(stand_in):
    code, log = stand_in(faults={'hang': 1.0}, transient=['hang'])
    _, node = label(code, [alloy(1)], vasp={'stalled_after': 8})
    assert node.is_finished_ok, node.exit_message
    assert [entry['fault'] for entry in runs(log)] == ['hang', '']
    stopped = jobs_of(node)[0]
    assert 'It has written nothing for' in stopped.exit_message


def test_dynamics_is_sampled(stand_in):
    code, _ = stand_in(faults={'killed': 1.0})
    dynamics = {'temperature': 300.0, 'final_temperature': 900.0, 'steps': 6, 'interval': 2, 'timestep': 2.0}
    overrides = {'dynamics': {**dynamics, 'friction': 0.05, 'seed': 3}, 'minimum_success': 0.5}
    results, node = label(code, [alloy(1)], **overrides)
    assert node.is_finished_ok, node.exit_message
    # It was killed in its last step, twice by aiida-vasp; what it came to is kept.
    account = results['account']
    assert (account['requested'], account['admitted']) == (4, 3)
    assert 'exit code 700' in account['failed'][0]['reason']
    [item] = results['frames'].sets()
    assert item.steps.tolist() == [-1, 2, 4]
    assert item.reasons.tolist() == ['', 'dynamics at 500 K', 'dynamics at 700 K']
    for frame in range(3):
        assert item.energies[frame] == pytest.approx(emt(item, frame).get_potential_energy(), abs=1e-5)
    tags = jobs_of(node)[0].inputs.parameters.get_dict()
    assert {name: tags[name] for name in ('nsw', 'ibrion', 'mdalgo', 'langevin_gamma')} == {
        'nsw': 7, 'ibrion': 0, 'mdalgo': 3, 'langevin_gamma': [50.0, 50.0],
    }  # fmt: skip


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'potential_family': None}, '`vasp.potential_family`'),
        ({'potential_family': 'none such'}, "'none such'"),
        ({'potential_mapping': {'Cu': 'Cu_sv'}}, f"'{FAMILY}'.* Cu_sv"),
        ({'incar': {'NSW': 3}}, 'NSW'),
        ({'incar': {'ENCUTT': 3}}, '`vasp.incar`'),
        ({'incar': {'LDAUU': [4.0, 0.0]}}, 'LDAUU'),
        ({'incar': {'LDAUU': 4.0}}, 'LDAUU'),
        ({'incar': {'NELECT': {'Cu': 11}}}, 'NELECT.* Al'),
        ({'retry': {'incar': {'MAGMOM': '2*1'}}}, 'MAGMOM'),
        ({'kpoints': {'spacing': None}}, '`mesh`.*`spacing`'),
    ],
)
def test_settings_are_refused_before_submission(stand_in, changes, sentence):
    code, log = stand_in()
    with pytest.raises(ValueError, match=sentence):
        label(code, [alloy(1)], vasp=changes)
    assert runs(log) == []


def test_an_element_without_potential_is_refused(stand_in):
    code, _ = stand_in()
    with pytest.raises(ValueError, match=r'`vasp\.potential_mapping`'):
        label(code, [FrameSet(('U',), [np.eye(3) * 5], [[[0, 0, 0]]])])


def test_crystals_are_relaxed_first(stand_in):
    code, log = stand_in()
    settings = {'supercell': [1, 1, 1], 'scales': [1.0], 'perturbations': {'number': 1}, 'dynamics': None}
    builder = InitialDataWorkChain.get_builder_from_protocol(
        {'vasp': code},
        protocol='fast',
        overrides={**settings, 'label': {'vasp': VASP}, 'relax': {'max_force': 0.005, 'steps': 200}},
        options='local',
        structures={'copper': orm.StructureData(ase=bulk('Cu', cubic=True, a=3.75))},
    )
    _, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == []
    [relaxed] = [call.outputs.copper for call in node.called if 'copper' in call.outputs]
    # EMT's lattice constant of copper.
    assert relaxed.cell_lengths == pytest.approx([3.59] * 3, abs=5e-3)
    first, second = (job.inputs.parameters.get_dict() for job in jobs_of(node))
    assert {name: first[name] for name in ('nsw', 'ibrion', 'isif', 'ediffg')} == {
        'nsw': 200, 'ibrion': 2, 'isif': 3, 'ediffg': -0.005,
    }  # fmt: skip
    assert second['nsw'] == 0
    assert len(runs(log)) == 2


def test_a_relaxation_that_does_not_end_has_failed(stand_in):
    code, log = stand_in()
    results, node = label(code, [alloy(1)], relaxation={'max_force': 1e-4, 'steps': 3})
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_FRAME_ADMITTED.status
    [entry] = results['account']['failed']
    assert '3 steps' in entry['reason']
    # aiida-vasp went on from where the first job came to; the retry did the same.
    assert len(runs(log)) == 4
    starts = [job.inputs.structure.get_ase().positions for job in jobs_of(node)]
    assert np.abs(starts[1] - starts[0]).max() > 1e-3


def test_the_example_is_complete_but_for_its_names(stand_in, codes, make_frames, tmp_path):
    spec = spec_from_file_location('example', Path(__file__).parents[2] / 'examples' / 'active_learning_vasp.py')
    example = module_from_spec(spec)
    spec.loader.exec_module(example)
    code, _ = stand_in()
    (tmp_path / 'paper').mkdir()
    upload_family(tmp_path / 'paper', ['Li_sv', 'P', 'S'])
    example.CODES, example.LABEL['vasp']['potential_family'] = {**codes, 'vasp': code}, FAMILY
    builder = example.first_frames()
    refused = InitialDataWorkChain.spec().inputs.validate(builder._inputs(prune=True))
    assert ' Cl' in str(refused)
    assert FAMILY in str(refused)
    (tmp_path / 'rest').mkdir()
    upload_family(tmp_path / 'rest', ['Cl'])
    assert InitialDataWorkChain.spec().inputs.validate(builder._inputs(prune=True)) is None
    # The loop takes what the first frames gave.
    frames = FramesData.from_sets([make_frames('Li P S Cl')]).store()
    initial = SimpleNamespace(outputs=SimpleNamespace(frames=frames), inputs=builder)
    assert ActiveLearningWorkChain.spec().inputs.validate(example.loop(initial)._inputs(prune=True)) is None
