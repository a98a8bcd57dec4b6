"""Sources of energies, forces and virials: an ASE calculator, or a DeePMD potential."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.calculators import ALLOWANCE, KNOWN, NotAllowedError, objection_to_calculator
from aiida_dpasse.labels.admission import Labels

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

#: Beginning of SevenNet's warning that its kernels for GPUs are not in use; there are none for a CPU.
ACCELERATOR = 'No tensor product accelerator is enabled'
#: Atoms that a potential evaluates in one call.
ATOMS_PER_CALL = 8192


def make_calculator(name: str, **arguments: Any) -> Calculator:
    """Return an ASE calculator.

    Nothing is imported or called that the owner of this machine has not allowed, see `calculators`.

    :param name: a name in `KNOWN`, a name known to ASE, or 'module:Class'.
    :param arguments: arguments of the calculator. Those that choose the device are optional: CHGNet and SevenNet use a
        GPU if there is one, otherwise the CPU.
    :raises NotAllowedError: if it is no class of ASE calculators, or it or one of its arguments, a file or an address,
        is not allowed on this machine.
    :raises ValueError: if there is no such calculator.
    :raises TypeError: if an argument is fixed by the name.
    """
    if message := objection_to_calculator({**arguments, 'name': name}, os.environ.get(ALLOWANCE, '')):
        raise NotAllowedError(message)
    path, fixed = KNOWN.get(name, (name, {}))
    registered = path in {known for known, _ in KNOWN.values()}
    if ':' in path:
        module, _, attribute = path.partition(':')
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', ACCELERATOR)
            make = getattr(importlib.import_module(module), attribute)
            check_class(make, name, registered)
            return make(**fixed, **arguments)
    from ase.calculators.calculator import get_calculator_class

    make = get_calculator_class(path)
    check_class(make, name, registered=False)
    return make(**arguments)


def check_class(make: Any, name: str, registered: bool) -> None:
    """Check that an object is a class of ASE calculators, before it is called.

    :param make: the object.
    :param name: its name.
    :param registered: whether it is one of `KNOWN`, which may be a function that returns a calculator.
    :raises NotAllowedError: if it is not.
    """
    from ase.calculators.calculator import BaseCalculator

    if not registered and not (isinstance(make, type) and issubclass(make, BaseCalculator)):
        raise NotAllowedError(f'`{name}` is no class of ASE calculators: give one')


def to_atoms(item: FrameSet, frame: int) -> Atoms:
    """Return one frame as periodic ASE atoms."""
    from ase import Atoms

    return Atoms(list(item.symbols), positions=item.positions[frame], cell=item.cells[frame], pbc=True)


class CalculatorLabeller:
    """Label frames one by one with an ASE calculator."""

    def __init__(self, calculator: Calculator):
        self.calculator = calculator
        self._stress = 'stress' in calculator.implemented_properties

    def evaluate(self, item: FrameSet, frames: Sequence[int]) -> Iterator[tuple[int, Labels | Exception]]:
        """Yield the index of each frame with its labels or the exception; a failed frame does not stop the others."""
        for frame in frames:
            atoms = to_atoms(item, frame)
            try:
                # SevenNet refuses unknown elements when it is attached.
                atoms.calc = self.calculator
                outcome: Labels | Exception = self.labels_of(atoms)
            except Exception as error:  # calculators raise exceptions of any type
                outcome = error
                # After an exception the calculator may hold a partial result for these atoms.
                self.calculator.reset()
            yield frame, outcome

    def labels_of(self, atoms: Atoms) -> Labels:
        """Return the labels of ``atoms`` with an attached calculator.

        The virial is minus ASE's stress times the volume; it is None if the calculator has no stress.
        """
        energy = float(atoms.get_potential_energy())
        forces = np.array(atoms.get_forces(), dtype=float)
        virial = -atoms.get_volume() * np.array(atoms.get_stress(voigt=False), dtype=float) if self._stress else None
        return Labels(energy, forces, virial)


class PotentialLabeller:
    """Label frames with a DeePMD potential, many in one call."""

    def __init__(self, path: str):
        from deepmd.infer import DeepPot

        self._path = path
        self._potential = DeepPot(path)
        self._type_map = list(self._potential.get_type_map())

    @property
    def calculator(self) -> Calculator:
        """ASE calculator of the same potential, for dynamics."""
        from deepmd.calculator import DP

        return DP(model=self._path)

    def evaluate(self, item: FrameSet, frames: Sequence[int]) -> Iterator[tuple[int, Labels | Exception]]:
        """Yield the index of each frame with its labels or the exception; a failed frame does not stop the others."""
        chunk = max(1, ATOMS_PER_CALL // item.natoms)
        for start in range(0, len(frames), chunk):
            chosen = frames[start : start + chunk]
            try:
                outcomes: list[Labels | Exception] = [*self._call(item, chosen)]
            except Exception:  # one bad frame fails the whole call; single calls identify it
                outcomes = [self._call_alone(item, frame) for frame in chosen]
            yield from zip(chosen, outcomes, strict=True)

    def _call(self, item: FrameSet, frames: Sequence[int]) -> list[Labels]:
        indices, n = list(frames), len(frames)
        types = [self._type_map.index(symbol) for symbol in item.symbols]
        energies, forces, virials = self._potential.eval(
            item.positions[indices].reshape(n, -1), item.cells[indices].reshape(n, 9), types
        )[:3]
        return [
            Labels(float(energy), np.asarray(force, dtype=float), np.asarray(virial, dtype=float))
            for energy, force, virial in zip(
                energies.reshape(n), forces.reshape(n, -1, 3), virials.reshape(n, 3, 3), strict=True
            )
        ]

    def _call_alone(self, item: FrameSet, frame: int) -> Labels | Exception:
        try:
            return self._call(item, [frame])[0]
        except Exception as error:  # each backend raises its own types of exceptions
            return error
