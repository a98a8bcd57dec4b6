"""Real CP2K: labels that are derivatives of their energy, an SCF that gives up, a retry that does not, a killed job."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.cli.programs import find_cp2k, prepend_text
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.label.initial_data import InitialDataWorkChain
from aiida_dpasse.label.label import LabelWorkChain
from aiida_dpasse.reports.accounting import unaccounted
from aiida_dpasse.reports.lineage import trace_frames
from aiida_dpasse.reports.provenance import orphans

CP2K = find_cp2k()
pytestmark = pytest.mark.skipif(CP2K is None, reason='CP2K is not installed: apt-get install cp2k')

#: Rough and quick: what is tested is that labels belong together, not that they are good.
TINY = {
    'cutoff': 200,
    'rel_cutoff': 30,
    'eps_default': 1e-8,
    'kpoints': None,
    'scf': {'eps': 1e-7, 'steps': 30},
    'kinds': {
        'H': {'BASIS_SET': 'DZVP-MOLOPT-SR-GTH', 'POTENTIAL': 'GTH-PBE-q1'},
        'Li': {'BASIS_SET': 'SZV-MOLOPT-SR-GTH', 'POTENTIAL': 'GTH-PBE-q3'},
    },
    'retry': None,
}
ROUGH = {**TINY, 'cutoff': 100, 'rel_cutoff': 20}
#: One step suffices for no SCF.
HASTY = {**ROUGH, 'scf': {**TINY['scf'], 'steps': 1}}


def make_code(localhost, path: str) -> orm.InstalledCode:
    """Debian's CP2K, one thread."""
    text = prepend_text(CP2K, 1)
    return orm.InstalledCode(computer=localhost, filepath_executable=path, label='cp2k', prepend_text=text).store()


@pytest.fixture(scope='module')
def cp2k_code(localhost) -> orm.InstalledCode:
    """The program itself."""
    return make_code(localhost, CP2K.path)


def hydrogen(*displacements: float, strain: float = 0.0) -> FrameSet:
    """Molecules in a slanted box, one atom displaced along x, all of it strained along x."""
    strained = np.eye(3) + np.diag([strain, 0, 0])
    cell = np.array([[4.0, 0, 0], [0.3, 4.2, 0], [0, 0.2, 4.4]]) @ strained
    sites = np.array([[0.1, 0.2, 0.3], [0.85, 0.5, 0.4]]) @ strained
    positions = [sites + np.array([[shift, 0, 0], [0, 0, 0]]) for shift in displacements]
    return FrameSet(('H', 'H'), [cell] * len(displacements), positions)


def label(code, sets, cp2k=TINY, **overrides):
    """Run the chain and return outputs and node; the account adds up and every node has a creator."""
    builder = LabelWorkChain.get_builder_from_protocol(
        {'cp2k': code},
        protocol='fast',
        overrides={'cp2k': cp2k, **overrides},
        frames=FramesData.from_sets(sets),
    )
    results, node = run_get_node(builder)
    assert unaccounted(node) == []
    assert orphans(node) == []
    return results, node


def jobs_of(node) -> list[orm.CalcJobNode]:
    """The programs that a chain ran."""
    return [call for call in node.called_descendants if isinstance(call, orm.CalcJobNode)]


def test_labels_are_derivatives_of_the_energy(cp2k_code):
    step, strain = 0.01, 0.004
    given = [hydrogen(-step, 0.0, step), hydrogen(0.0, strain=strain), hydrogen(0.0, strain=-strain)]
    touching = FrameSet(('Li', 'Li'), [np.eye(3) * 6], [[[0, 0, 0], [0.1, 0, 0]]])
    results, node = label(cp2k_code, [*given, touching], minimum_distance=0.5)
    assert node.is_finished_ok, node.exit_message
    # One job for all frames of a formula; the frame without sense was in none.
    [job] = jobs_of(node)
    assert job.process_type == 'aiida.calculations:cp2k'
    [rejected] = results['account']['rejected']
    assert '0.10 A' in rejected['reason']
    labelled = {str(i): (item, n) for item in results['frames'].sets() for n, i in enumerate(item.ids)}
    found = [labelled[str(identity)] for item in given for identity in item.ids]
    left, _, right, stretched, squeezed = (float(item.energies[n]) for item, n in found)
    forces, virial = (getattr(found[1][0], name)[found[1][1]] for name in ('forces', 'virials'))
    # The force is some 2 eV/A, the virial some -3 eV; what remains is the rough grid.
    assert forces[0, 0] == pytest.approx(-(right - left) / (2 * step), rel=5e-3)
    assert abs(forces[0, 0]) > 1
    # Forces do not quite add up to zero, since the grid of 200 Ry does not move with the atoms.
    assert forces.sum(axis=0) == pytest.approx(np.zeros(3), abs=0.1)
    assert virial[0, 0] == pytest.approx(-(stretched - squeezed) / (2 * strain), rel=5e-3)
    assert virial == pytest.approx(virial.T, abs=1e-8)
    assert {origin.label_job for origin in trace_frames(results['frames'])} == {job.pk}


def test_a_frame_that_did_not_converge_is_rejected_and_repeated_with_other_settings(cp2k_code):
    given = hydrogen(0.0, 0.1)
    results, node = label(cp2k_code, [given], {**HASTY, 'retry': {'scf': {'steps': 30}}}, minimum_distance=0.5)
    assert node.is_finished_ok, node.exit_message
    assert (results['account']['admitted'], results['account']['retried']) == (2, 2)
    first, second = jobs_of(node)
    assert [job.inputs.parameters['FORCE_EVAL']['DFT']['SCF']['MAX_SCF'] for job in (first, second)] == [1, 30]
    assert {origin.label_job for origin in trace_frames(results['frames'])} == {second.pk}


def test_without_other_settings_it_fails(cp2k_code):
    results, node = label(cp2k_code, [hydrogen(0.0)], HASTY, minimum_distance=0.5)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_FRAME_ADMITTED.status
    assert [entry['reason'].endswith('did not converge') for entry in results['account']['failed']] == [True]
    assert results['account']['retried'] == 1
    assert 'frames' not in results


def test_the_error_of_cp2k_about_its_input_is_reported(cp2k_code):
    wrong = {**ROUGH, 'input': {'FORCE_EVAL': {'DFT': {'SCF': {'NO_SUCH_KEYWORD': 1}}}}}
    results, node = label(cp2k_code, [hydrogen(0.0)], wrong, minimum_distance=0.5)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_FRAME_ADMITTED.status
    [entry] = results['account']['failed']
    assert entry['reason'] == (
        'CP2K ended before this frame (exit code 304): found an unknown keyword NO_SUCH_KEYWORD in section SCF'
    )


def test_a_killed_job_leaves_what_it_finished(localhost, tmp_path):
    # CP2K writes into a pipe that closes after two energies, and dies of it as of any signal.
    script = tmp_path / 'killed'
    awk = '{ print; fflush() } /ENERGY\\| Total/ { if (++n == 2) exit }'
    script.write_text(f'#!/bin/sh\n{CP2K.path} "$@" 2>&1 | awk \'{awk}\'\n')
    script.chmod(0o755)
    given = hydrogen(0.0, 0.1, 0.2, 0.3)
    results, node = label(make_code(localhost, str(script)), [given], ROUGH, minimum_distance=0.3, minimum_success=0.1)
    assert node.is_finished_ok, node.exit_message
    # Each job brings one frame home, the first that it was given: the others are asked for again as long as one comes.
    assert set(results['frames'].ids()) == set(given.ids)
    account = results['account']
    assert (account['requested'], account['admitted'], account['failed']) == (4, 4, [])
    jobs = [call for call in node.called_descendants if isinstance(call, orm.CalcJobNode)]
    assert [job.exit_status for job in jobs] == [303, 303, 303, 0]
    assert len(jobs) == account['calculations'] == 4


def test_the_energy_under_smearing_is_the_one_that_forces_and_stress_derive_from(cp2k_code):
    strain = 0.004
    given = [hydrogen(0.0, strain=size) for size in (0.0, strain, -strain)]
    hot = {**TINY, 'scf': {**TINY['scf'], 'smearing': 20000.0, 'added_orbitals': 4}}
    results, _ = label(cp2k_code, given, hot, minimum_distance=0.5)
    labelled = {str(i): (item, n) for item in results['frames'].sets() for n, i in enumerate(item.ids)}
    (crystal, at), *strained = (labelled[str(item.ids[0])] for item in given)
    stretched, squeezed = (float(item.energies[n]) for item, n in strained)
    assert crystal.virials[at][0, 0] == pytest.approx(-(stretched - squeezed) / (2 * strain), rel=5e-3)


def test_dynamics_is_sampled(cp2k_code):
    dynamics = {'temperature': 300.0, 'final_temperature': 1200.0, 'steps': 2, 'interval': 1, 'timestep': 1.0}
    outputs = []
    for seed in (1, 1, 2):
        overrides = {'minimum_distance': 0.3, 'dynamics': {**dynamics, 'friction': 0.1, 'seed': seed}}
        results, node = label(cp2k_code, [hydrogen(0.0)], **overrides)
        assert node.is_finished_ok, node.exit_message
        outputs.append(results)
    assert outputs[0]['account']['requested'] == outputs[0]['account']['admitted'] == 3
    assert outputs[0]['frames'].ids() == outputs[1]['frames'].ids()
    assert outputs[0]['frames'].ids() != outputs[2]['frames'].ids()
    [item] = outputs[2]['frames'].sets()
    assert item.steps.tolist() == [-1, 1, 2]
    assert item.reasons.tolist() == ['', 'dynamics at 600 K', 'dynamics at 1200 K']
    moved = np.abs(item.positions[2] - item.positions[0]).max()
    assert 1e-3 < moved < 0.2
    # Each sample has its own labels: the energy falls by the work of the forces on the way.
    for before, after in ((0, 1), (1, 2)):
        way = item.positions[after] - item.positions[before]
        work = float(((item.forces[before] + item.forces[after]) / 2 * way).sum())
        assert item.energies[before] - item.energies[after] == pytest.approx(work, rel=0.05, abs=1e-3)
    [job] = jobs_of(node)
    assert [origin.md for origin in trace_frames(results['frames'])] == [None, (job.pk, 1), (job.pk, 2)]


def test_a_frame_is_relaxed(cp2k_code):
    relaxation = {'max_force': 0.5, 'steps': 20, 'cell': False}
    results, node = label(cp2k_code, [hydrogen(0.0)], minimum_distance=0.5, relaxation=relaxation)
    assert node.is_finished_ok, node.exit_message
    [item] = results['frames'].sets()
    assert item.reasons.tolist() == [f'relaxed from {hydrogen(0.0).ids[0]}']
    assert np.linalg.norm(item.forces[0], axis=-1).max() < 0.5
    # The bond of hydrogen, 0.76 A, which was 0.81 A.
    assert np.linalg.norm(item.positions[0, 1] - item.positions[0, 0]) == pytest.approx(0.76, abs=0.04)


def test_two_elements_and_kpoints(cp2k_code):
    cell = np.array([[4.2, 0, 0], [0.3, 4.4, 0], [0, 0.2, 4.6]])
    hydride = FrameSet(('H', 'Li'), [cell], [np.array([[0.45, 0.5, 0.55], [0, 0, 0]]) @ cell])
    sparse = {**TINY, 'cutoff': 100, 'kpoints': {'spacing': 1.45}, 'scf': {'eps': 1e-4}}
    results, node = label(cp2k_code, [hydride], sparse)
    assert node.is_finished_ok, node.exit_message
    [job] = jobs_of(node)
    assert job.inputs.parameters['FORCE_EVAL']['DFT']['KPOINTS']['SCHEME'] == 'MONKHORST-PACK 2 1 1'
    assert results['frames'].labels == ['energy', 'force', 'virial']


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'cp2k': None}, 'parameters: `cp2k`'),
        ({'cp2k': {**TINY, 'kpoints': {'spacing': 1.0}, 'scf': {'solver': 'ot'}}}, '`scf.solver`'),
        ({'cp2k': {**TINY, 'scf': {'smearing': 300}}}, '`smearing`'),
        ({'cp2k': {**TINY, 'functional': None}}, '`functional`'),
        ({'cp2k': {**TINY, 'input': {'MOTION': {}}}}, '`cp2k.input`.*MOTION'),
        ({'cp2k': {**TINY, 'input': {'FORCE_EVAL': {'SUBSYS': {'KIND': []}}}}}, '`kinds`'),
        ({'cp2k': {**TINY, 'release': '2021.1'}}, r'`cp2k\.release`.*2022\.1 to 2026\.2'),
    ],
)
def test_settings_are_refused_before_submission(cp2k_code, changes, sentence):
    before = orm.QueryBuilder().append(LabelWorkChain).count()
    with pytest.raises(ValueError, match=sentence):
        label(cp2k_code, [hydrogen(0.0)], **changes)
    assert orm.QueryBuilder().append(LabelWorkChain).count() == before


def test_an_element_without_basis_is_refused_by_every_chain(cp2k_code):
    crystal = orm.StructureData(cell=np.eye(3) * 5)
    crystal.append_atom(position=(0, 0, 0), symbols='U')
    sentence = '`cp2k.kinds` has no BASIS_SET and POTENTIAL for U; give them'
    with pytest.raises(ValueError, match=sentence):
        label(cp2k_code, [FrameSet(('U',), [np.eye(3) * 5], [[[0, 0, 0]]])])
    builder = InitialDataWorkChain.get_builder_from_protocol({'cp2k': cp2k_code}, structures={'uranium': crystal})
    with pytest.raises(ValueError, match=sentence):
        run_get_node(builder)
