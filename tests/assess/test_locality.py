"""How far a force reaches: exactly twice the cutoff where a potential with a cutoff is its own reference."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from ase.build import bulk

from aiida_dpasse.assess.locality import LocalityWorkChain
from aiida_dpasse.assess.plan_locality import plan_locality
from aiida_dpasse.assess.tabulate_locality import NOT_RUN, UNNAMED, tabulate_locality
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.data.potential import DeepPotentialData
from aiida_dpasse.frames.collect_samples import collect_samples
from aiida_dpasse.landscape.locality import atoms_within
from aiida_dpasse.reports.accounting import unaccounted
from aiida_dpasse.reports.lineage import trace_frames
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.registry import outcome
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.runs import Run, Runs

EXIT = LocalityWorkChain.exit_codes
#: Copper's neighbours are at 2.55, 3.61, 4.42, 5.11, 5.71 and 6.25 A: twice the cutoff holds five shells.
CUTOFF = 3.0
MD = {'ensemble': 'nvt', 'timestep': 2.0, 'thermo_interval': 20, 'equilibration': {'ensemble': 'nvt', 'steps': 20}}
PARAMETERS = {
    'distances': [6.1, 4.0],
    'centre': 'Cu',
    'temperature': 500.0,
    'steps': 40,
    'frames': 4,
    'md': MD,
    'label': {},
    'force_tolerance': 1.0,
    'seed': 1,
}


@pytest.fixture(scope='session')
def short(copper_frames, programs, tmp_path_factory) -> DeepPotentialData:
    """A potential of copper whose cutoff is 3 A, trained for a moment."""
    folder = tmp_path_factory.mktemp('short')
    [system] = copper_frames.write(folder / 'data')
    descriptor = {'type': 'se_e2_a', 'sel': [30], 'rcut': CUTOFF, 'rcut_smth': 1.0, 'neuron': [4, 8], 'axis_neuron': 2}
    content = {
        'model': {'type_map': ['Cu'], 'descriptor': descriptor, 'fitting_net': {'neuron': [16, 16]}},
        'learning_rate': {'type': 'exp', 'start_lr': 5e-3, 'stop_lr': 1e-4, 'decay_steps': 50},
        'loss': {'type': 'ener', 'start_pref_e': 0.02, 'limit_pref_e': 1, 'start_pref_f': 1000, 'limit_pref_f': 1},
        'training': {
            'training_data': {'systems': [str(system)], 'batch_size': 1},
            **{'numb_steps': 200, 'disp_freq': 200, 'save_freq': 200},
        },
    }
    (folder / 'input.json').write_text(json.dumps(content))
    for arguments in (['train', 'input.json', '--skip-neighbor-stat'], ['freeze', '-o', 'model.pb']):
        command = [programs['dp'].path, '--tf', *arguments]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    return DeepPotentialData.from_file(folder / 'model.pb').store()


@pytest.fixture(autouse=True)
def equal_runs_run_once():
    """What labels has no part in the dynamics."""
    with enable_caching(identifier='aiida.calculations:dpasse.md'):
        yield


@pytest.fixture
def inputs(codes, short):
    """Inputs of a test; keywords change its parameters."""

    def make(labeller: dict | None = None, structure: orm.StructureData | None = None, **changes) -> dict:
        return {
            'codes': {name: codes[name] for name in ('lmp', 'python')},
            'structure': structure or orm.StructureData(ase=bulk('Cu', a=3.61)),
            'driver': short,
            'parameters': orm.Dict(PARAMETERS | changes),
            **({'potential': short} if labeller is None else labeller),
        }

    return make


def test_a_potential_reaches_twice_its_cutoff_and_no_farther(inputs, tmp_path):
    outputs, node = run_get_node(LocalityWorkChain, **inputs())
    others, emt = run_get_node(LocalityWorkChain, **inputs({'calculator': orm.Dict({'name': 'emt'})}))
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == unaccounted(node) == []
    found = outputs['locality'].get_dict()
    near, far = found['rows']
    # One atom, twelve, six; and 24, 12 and 24 more: of a rhombohedral cell of five by five by five.
    assert [(row['distance_A'], row['held_atoms'], row['mobile_atoms']) for row in found['rows']] == [
        (4.0, 19, 106),
        (6.1, 79, 46),
    ]
    assert near['frames'] == far['frames'] == 4
    assert near['force_spread_meV_A'] > 1.0
    # In meV/A, beside forces of some eV/A: zero but for rounding, in which LAMMPS leaves held atoms of a skewed cell.
    assert far['force_spread_meV_A'] < 1e-9
    assert far['force_spread_error_meV_A'] < 1e-9
    assert found['r_cut_A'] == pytest.approx(3.05)
    assert [(run['run'], run['requested'], run['labelled']) for run in found['runs']] == [
        ('md_0000', 4, 4),
        ('md_0001', 4, 4),
    ]
    assert sum(outputs['frames'].formulas.values()) == 8
    assert {origin.step for origin in trace_frames(outputs['frames'])} == {30, 40, 50, 60}
    assert outcome(node) == [found['verdict']]
    assert 'Spread of the force on a centre' in report_text(node)
    assert tmp_path / 'locality.png' in write_report(node, tmp_path)
    # The same frames, and a reference that reaches farther than the potential that moved them.
    assert emt.is_finished_ok, emt.exit_message
    assert others['frames'].ids() == outputs['frames'].ids()
    assert others['locality']['rows'][1]['force_spread_meV_A'] > 1e-3


@pytest.fixture
def alloy(aiida_profile) -> orm.StructureData:
    """Rock salt, lithium before chlorine: in frames it comes after it."""
    return orm.StructureData(ase=bulk('LiCl', 'rocksalt', a=5.13, cubic=True))


def test_the_plan_holds_what_lies_around_its_centres(alloy):
    settings = PARAMETERS | {'centre': 'Li', 'centres': 2, 'distances': [5.0, 3.0], 'supercell': None}
    plan = plan_locality(orm.Dict(settings), alloy)
    assert plan['supercell'].get_dict() == {'supercell': 10.0}
    runs = plan['spheres']['runs']
    assert sorted(runs) == ['md_0000', 'md_0001', 'md_0002', 'md_0003']
    crystal = alloy.get_pymatgen().make_supercell([2, 2, 2], in_place=False)
    frames = FramesData.from_structures([orm.StructureData(pymatgen=crystal)])
    [item] = frames.sets()
    for key, run in runs.items():
        sites = plan['md'][key]['fixed']
        assert run['centre'] in sites
        assert crystal[run['centre']].specie.symbol == run['element'] == 'Li'
        around = atoms_within(crystal.lattice.matrix, crystal.cart_coords, run['centre'], run['distance'])
        assert sites == around.tolist()
        assert (run['held'], run['mobile']) == (len(sites), 64 - len(sites))
        # The same atom, where atoms are sorted by element.
        np.testing.assert_allclose(item.positions[0, run['atom']], crystal[run['centre']].coords)
        assert item.symbols[run['atom']] == 'Li'
        assert (plan['md'][key]['steps'], plan['md'][key]['sample_interval']) == (40, 10)
    # Each distance has the same centres, and each run its own velocities.
    assert runs['md_0000']['centre'] == runs['md_0002']['centre'] != runs['md_0001']['centre']
    assert len({plan['md'][key]['seed'] for key in runs}) == 4
    named = plan_locality(orm.Dict(settings | {'centre': 7, 'centres': 1}), alloy)['spheres']['runs']
    assert {run['centre'] // 8 for run in named.values()} == {7}


def samples(make_frames, seed, start=0):
    """Return five frames, the first of which is where a run came from."""
    return FramesData.from_sets([make_frames('Li S', 5, seed, labels=False).with_origin(steps=start + np.arange(5))])


def test_every_frame_is_found_in_its_run(aiida_profile, make_frames):
    """Of three runs one ended badly; of the frames of another one is rejected, one failed and one is not named."""
    sphere = {'centre': 3, 'element': 'S', 'atom': 1, 'held': 1, 'mobile': 1}
    places = {'md_0000': 4.0, 'md_0001': 4.0, 'md_0002': 6.0}
    planned = orm.Dict(Runs(Run('md', n, size=n // 2, replica=n % 2) for n in range(3)).to_dict())
    spheres = orm.Dict(
        {
            'runs': {key: {**sphere, 'distance': distance} for key, distance in places.items()},
            **{'frames': 4, 'start': 10, 'force_tolerance': 50.0},
        }
    )
    gathered = collect_samples(spheres, samples={f'md_000{n}': samples(make_frames, n + 1, start=10) for n in range(2)})
    [joined] = gathered.sets()
    first, second = joined.take(range(4)), joined.take(range(4, 8))
    assert set(first.sources) == {'samples__md_0000'}
    assert first.steps.tolist() == [11, 12, 13, 14]
    forces = np.zeros((4, 2, 3))
    # On the centre, the second atom: 0.1 and -0.1 in turn along x; the other atom's force is no matter.
    forces[:, 1, 0] = [0.1, -0.1, 0.1, -0.1]
    forces[:, 0] = 7.0
    # Labels come back in any order.
    good = first.with_labels(np.zeros(4), forces).take([0, 1, 2, 3])
    part = second.with_labels(np.zeros(4), forces).take([2])
    account = {
        'rejected': [{'id': str(second.ids[0]), 'reason': 'too near'}],
        'failed': [{'id': str(second.ids[1]), 'reason': 'not converged'}],
    }
    table = tabulate_locality(
        spheres, planned, gathered, frames=FramesData.from_sets([part, good]), account=orm.Dict(account)
    ).get_dict()
    one, two, three = table['runs']
    assert (one['labelled'], one['rejected'], one['failed'], one['not_sampled'], one['reason']) == (4, [], [], 0, None)
    assert (two['labelled'], two['rejected'], two['not_sampled']) == (1, account['rejected'], 0)
    assert two['failed'] == [*account['failed'], {'id': str(second.ids[3]), 'reason': UNNAMED}]
    assert two['force_spread_meV_A'] is None
    assert (three['labelled'], three['not_sampled'], three['reason']) == (0, 4, NOT_RUN)
    for run in table['runs']:
        parts = run['labelled'] + len(run['rejected']) + len(run['failed']) + run['not_sampled']
        assert parts == run['requested'] == 4
    near, far = table['rows']
    # Four independent frames, 0.1 eV/A about a mean of none: 0.01 * 4 / 3 along x.
    assert near['component_spread_meV_A'] == pytest.approx([1e3 * np.sqrt(0.04 / 3), 0, 0])
    assert near['force_spread_meV_A'] == pytest.approx(1e3 * np.sqrt(0.04 / 9))
    assert (near['centres'], near['frames'], near['independent_frames']) == (1, 4, 4)
    assert (far['force_spread_meV_A'], far['centres'], far['frames']) == (None, 0, 0)
    assert table['r_cut_A'] is None
    assert '7 of 12' in table['verdict']


def test_a_labelling_that_fails_has_its_account(inputs):
    """Every frame of copper at rest has atoms nearer than five angstrom."""
    emt = {'calculator': orm.Dict({'name': 'emt'})}
    outputs, node = run_get_node(LocalityWorkChain, **inputs(emt, label={'minimum_distance': 5.0}))
    assert node.exit_status == EXIT.ERROR_LABEL_FAILED.status
    assert [len(run['rejected']) for run in outputs['locality']['runs']] == [4, 4]
    assert [row['force_spread_meV_A'] for row in outputs['locality']['rows']] == [None, None]
    assert 'frames' not in outputs


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'supercell': [3, 3, 3]}, r'4 A .*7\.658 A'),
        ({'supercell': [1, 1, 1], 'distances': [1.0]}, '1 A'),
        ({'centres': 2}, r'`centres` \(2\) .*Cu.*1'),
        ({'centre': 'Li'}, r'`centres` \(1\) .*Li.*0'),
        ({'centre': 4}, r'`centre` \(4\)'),
        ({'centre': 0, 'centres': 2}, '`centres` .*`centre`'),
        ({'distances': [4.0, 4.0]}, '`distances`'),
        ({'frames': 3}, r'`steps` \(40\) .*`frames` \(3\)'),
        ({'md': MD | {'seed': 1}}, '`md.seed`'),
        ({'md': MD | {'ensemble': 'npt'}}, '`md`: `fixed`'),
        ({'label': {'relaxation': {}}}, '`label.relaxation`'),
    ],
)
def test_impossible_tests_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(LocalityWorkChain, **inputs(**changes))


def test_what_cannot_drive_or_label_is_refused(inputs, alloy, short):
    with pytest.raises(ValueError, match='calculator, potential'):
        run_get_node(LocalityWorkChain, **inputs({}))
    both = {'potential': short, 'calculator': orm.Dict({'name': 'emt'})}
    with pytest.raises(ValueError, match='calculator, potential'):
        run_get_node(LocalityWorkChain, **inputs(both))
    with pytest.raises(ValueError, match='driver: '):
        run_get_node(LocalityWorkChain, **inputs({'calculator': orm.Dict({'name': 'emt'})}, alloy))
    with pytest.raises(ValueError, match='potential: '):
        run_get_node(LocalityWorkChain, **inputs(structure=alloy))
