"""Initial data: perturbed, heated and labelled, every frame accounted for and replayable."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.build import bulk
from pymatgen.core import Lattice, Structure

from aiida_dpasse.label.initial_data import InitialDataWorkChain
from aiida_dpasse.reports.accounting import unaccounted
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.structures.prototypes import argyrodite, rock_salt

SMALL = {
    'supercell': [1, 1, 1],
    'scales': [0.98, 1.02],
    'perturbations': {'number': 2, 'cell_fraction': 0.01, 'displacement': 0.05},
    'dynamics': {'steps': 6, 'interval': 3},
    'contacts': None,
}


def copper() -> orm.StructureData:
    """The cubic cell of copper."""
    lattice = Lattice.cubic(3.61)
    points = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    return orm.StructureData(pymatgen=Structure(lattice, ['Cu'] * 4, points))


def initial_data(code, structures, calculator, **overrides):
    """Run the chain and return its outputs and node."""
    builder = InitialDataWorkChain.get_builder_from_protocol(
        {'python': code},
        protocol='demo',
        overrides={**SMALL, **overrides},
        structures=structures,
        calculator=orm.Dict(calculator),
    )
    return run_get_node(builder)


def test_emt_in_two_jobs_and_the_same_again(python_code):
    runs = []
    for seed in (1, 1, 2):
        results, node = initial_data(python_code, {'cu': copper()}, {'name': 'emt'}, seed=seed, label={'batch_size': 2})
        assert node.is_finished_ok, node.exit_message
        account = results['account']
        assert (account['requested'], account['admitted']) == (12, 12)
        assert results['frames'].labels == ['energy', 'force', 'virial']
        runs.append(results['frames'].ids())
    assert runs[0] == runs[1]
    assert not set(runs[0]) & set(runs[2])


def test_structures_are_relaxed_first(python_code):
    # Five per cent too large: the copies are those of the calculator's own crystal.
    large = orm.StructureData(ase=bulk('Cu', cubic=True, a=3.77))
    results, node = initial_data(
        python_code, {'cu': large}, {'name': 'emt'}, relax={'max_force': 0.005}, dynamics=None, scales=[1.0]
    )
    assert node.is_finished_ok, node.exit_message
    assert unaccounted(node) == orphans(node) == []
    for item in results['frames'].sets():
        # EMT's copper has 3.59 A; strains of a per cent are laid over it.
        assert np.cbrt(np.linalg.det(item.cells)) == pytest.approx(3.59, rel=0.02)
        assert set(item.sources) == {'cu'}


def test_a_structure_that_does_not_relax_is_reported(python_code):
    large = orm.StructureData(ase=bulk('Cu', cubic=True, a=3.77))
    _, node = initial_data(python_code, {'cu': large}, {'name': 'emt'}, relax={'steps': 1}, dynamics=None)
    assert node.exit_status == InitialDataWorkChain.exit_codes.ERROR_RELAXATION_FAILED.status
    assert '1 steps' in node.exit_message


def test_without_dynamics_the_copies_themselves_are_labelled(python_code):
    results, node = initial_data(python_code, {'cu': copper()}, {'name': 'emt'}, dynamics=None)
    assert node.is_finished_ok, node.exit_message
    sets = results['frames'].sets()
    assert [source for item in sets for source in item.sources] == ['cu'] * 4
    assert [step for item in sets for step in item.steps] == [-1] * 4


def test_close_contacts_are_labelled_beside_the_copies(python_code):
    """One job of single points beside two of dynamics; its frames and account are added to theirs."""
    # In the crystal itself copper atoms are as close as those that are pushed together.
    large = orm.StructureData(ase=bulk('Cu', cubic=True, a=4.4))
    contacts = {'number': 3, 'displacement': 0.05}
    results, node = initial_data(python_code, {'large': large, 'cu': copper()}, {'name': 'emt'}, contacts=contacts)
    assert node.is_finished_ok, node.exit_message
    account = results['account']
    assert (account['requested'], account['admitted'], account['calculations']) == (24 + 3, 24 + 3, 3)
    assert results['frames'].frames == 27
    reasons = [reason for item in results['frames'].sets() for reason in item.reasons]
    pushed = [reason for reason in reasons if reason.startswith('Cu and Cu pushed to')]
    assert len(pushed) == 3
    assert orphans(node) == []
    _, node = initial_data(python_code, {'cu': copper()}, {'name': 'emt'}, contacts=contacts, dynamics=None)
    assert node.is_finished_ok, node.exit_message
    assert node.outputs.account['requested'] == 4


def test_chgnet_on_electrolyte_and_salt(python_code):
    structures = {
        'lpscl': orm.StructureData(pymatgen=argyrodite('Cl', primitive=True)),
        'libr': orm.StructureData(pymatgen=rock_salt('Br', primitive=True)),
    }
    results, node = initial_data(
        python_code,
        structures,
        {'name': 'chgnet', 'use_device': 'cpu'},
        scales=[1.0],
        perturbations={'number': 1, 'cell_fraction': 0.01, 'displacement': 0.05},
    )
    assert node.is_finished_ok, node.exit_message
    assert results['frames'].formulas == {'Br1Li1': 3, 'Cl1Li6P1S5': 3}
    salt, electrolyte = results['frames'].sets()
    assert list(electrolyte.sources) == ['lpscl', 'frames', 'frames']
    assert list(electrolyte.steps) == [-1, 3, 6]
    assert np.linalg.norm(salt.forces, axis=-1).max() < 20


def test_a_perturbation_that_cannot_be_drawn_ends_with_its_sentence(python_code):
    _, node = initial_data(
        python_code,
        {'cu': copper()},
        {'name': 'emt'},
        perturbations={'number': 1, 'cell_fraction': 0.0, 'displacement': 9.0, 'closest': 2.5},
    )
    assert node.exit_status == InitialDataWorkChain.exit_codes.ERROR_STRUCTURES.status
    assert '`displacement`' in node.exit_message


def test_a_labelling_that_fails_is_passed_on_with_its_account(python_code):
    uranium = orm.StructureData(pymatgen=Structure(Lattice.cubic(4), ['U'], [[0, 0, 0]]))
    results, node = initial_data(python_code, {'u': uranium}, {'name': 'emt'})
    assert node.exit_status == InitialDataWorkChain.exit_codes.ERROR_LABEL_FAILED.status
    assert len(results['account']['failed']) == 12
    assert 'frames' not in results


def test_refusals(python_code):
    partial = orm.StructureData(cell=np.eye(3) * 4)
    partial.append_atom(position=(0, 0, 0), symbols='Li', weights=0.5, name='Li')
    emt = {'name': 'emt'}
    cases = [
        ({'li': partial}, emt, {}, 'structures.li: .*partial occupancies'),
        ({}, emt, {}, 'structures'),
        ({'cu': copper()}, {}, {}, 'calculator: `name` should be'),
        ({'cu': copper()}, emt, {'dynamics': {'steps': 6, 'interval': 3, 'temperature': -1}}, '`dynamics.temperature`'),
        ({'cu': copper()}, emt, {'perturbations': {'number': 0}}, '`perturbations.number` should be greater'),
        ({'cu': copper()}, emt, {'label': {'max_force': 0}}, '`label.max_force` should be greater'),
    ]
    for structures, calculator, overrides, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            initial_data(python_code, structures, calculator, **overrides)


@pytest.mark.parametrize('protocol', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_every_protocol_is_valid(python_code, protocol):
    builder = InitialDataWorkChain.get_builder_from_protocol(
        {'python': python_code}, protocol=protocol, structures={'cu': copper()}, calculator=orm.Dict({'name': 'emt'})
    )
    assert InitialDataWorkChain.spec().inputs.validate(builder._inputs(prune=True)) is None
