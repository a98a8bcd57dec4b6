"""Labels have the sign and units they claim: forces and virials are the derivatives of the energy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.labellers import CalculatorLabeller, make_calculator
from aiida_dpasse.labels.records import one_line
from aiida_dpasse.structures.perturb import perturb
from aiida_dpasse.structures.prototypes import argyrodite


def copper() -> FrameSet:
    """A strained, rattled copper cell of four atoms."""
    atoms = bulk('Cu', cubic=True)
    rng = np.random.default_rng(1)
    deform = np.eye(3) + rng.uniform(-0.03, 0.03, (3, 3))
    positions = atoms.positions @ deform + rng.normal(scale=0.05, size=(4, 3))
    return FrameSet.sort_atoms(['Cu'] * 4, [atoms.cell @ deform], [positions])


def lithium_argyrodite() -> FrameSet:
    """One perturbed primitive cell of Li6PS5Cl."""
    [perturbed] = perturb(argyrodite(primitive=True), 1, cell_fraction=0.03, displacement=0.1, seed=2)
    structure = perturbed.structure
    symbols = [site.specie.symbol for site in structure]
    return FrameSet.sort_atoms(symbols, [structure.lattice.matrix], [structure.cart_coords])


@pytest.mark.parametrize(
    ('maker', 'name', 'step', 'tolerance'),
    [
        (copper, 'emt', 1e-5, 1e-6),
        (lithium_argyrodite, 'chgnet', 5e-3, 0.06),
        (lithium_argyrodite, 'sevennet-0', 5e-3, 0.01),
    ],
)
def test_forces_and_virial_are_derivatives_of_the_energy(maker, name, step, tolerance):
    item = maker()
    labeller = CalculatorLabeller(make_calculator(name, **({'use_device': 'cpu'} if name == 'chgnet' else {})))
    [(_, labels)] = labeller.evaluate(item, [0])

    def energy(cell, positions):
        changed = FrameSet(symbols=item.symbols, cells=[cell], positions=[positions])
        [(_, result)] = labeller.evaluate(changed, [0])
        return result.energy

    cell, positions = item.cells[0], item.positions[0]
    for row, column in ((0, 0), (1, 1), (0, 2)):
        strain = np.zeros((3, 3))
        strain[row, column] = strain[column, row] = step / (1 if row == column else 2)
        up, down = np.eye(3) + strain, np.eye(3) - strain
        slope = (energy(cell @ up, positions @ up) - energy(cell @ down, positions @ down)) / (2 * step)
        assert labels.virial[row, column] == pytest.approx(-slope, abs=tolerance * max(1, np.abs(labels.virial).max()))
    for atom, axis in ((0, 0), (len(positions) - 1, 2)):
        move = np.zeros_like(positions)
        move[atom, axis] = step
        slope = (energy(cell, positions + move) - energy(cell, positions - move)) / (2 * step)
        assert labels.forces[atom, axis] == pytest.approx(-slope, abs=tolerance * max(1, np.abs(labels.forces).max()))


def test_sevennet_labels_without_a_warning_and_refuses_an_unknown_element_alone():
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        labeller = CalculatorLabeller(make_calculator('sevennet-l3i5'))
    strange = FrameSet(symbols=('Po',), cells=[np.eye(3) * 4], positions=[[[0, 0, 0]]])
    [(_, outcome)] = labeller.evaluate(strange, [0])
    assert isinstance(outcome, ValueError)
    [(_, labels)] = labeller.evaluate(lithium_argyrodite(), [0])
    assert -5 < labels.energy / 13 < -4
    assert np.abs(labels.forces.sum(axis=0)).max() < 1e-4
    assert labels.virial == pytest.approx(labels.virial.T)


def test_calculators_by_name_and_by_path():
    assert isinstance(make_calculator('emt'), EMT)
    assert isinstance(make_calculator('ase.calculators.emt:EMT'), EMT)
    assert make_calculator('lj', epsilon=0.5).parameters['epsilon'] == 0.5


def test_an_unknown_element_fails_alone():
    strange = FrameSet(symbols=('U',), cells=[np.eye(3) * 4], positions=[[[0, 0, 0]]])
    labeller = CalculatorLabeller(make_calculator('emt'))
    [(_, outcome)] = labeller.evaluate(strange, [0])
    assert isinstance(outcome, NotImplementedError)
    [(_, labels)] = labeller.evaluate(copper(), [0])
    assert np.isfinite(labels.energy)


def test_one_line():
    assert one_line(ValueError('two\n  lines')) == 'ValueError: two lines'
    assert one_line(ValueError()) == 'ValueError'
    assert len(one_line(ValueError('x' * 9999))) == 300
