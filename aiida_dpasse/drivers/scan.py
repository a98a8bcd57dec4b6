"""Driver: scan the landscape of each mobile ion of a crystal, with a DeePMD potential or an ASE calculator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.drivers.calculators import NotAllowedError
from aiida_dpasse.drivers.job import OUTPUT, read_job, write_result
from aiida_dpasse.drivers.labellers import ATOMS_PER_CALL, make_calculator
from aiida_dpasse.landscape.descriptors import THRESHOLD, free_volume, ranking_descriptor
from aiida_dpasse.landscape.grid import SITE_TOLERANCE, Grid, Operations
from aiida_dpasse.landscape.level_map import level_map, lowest_voxels
from aiida_dpasse.landscape.percolation import Percolation, percolation
from aiida_dpasse.landscape.scan import Scan, scan_ion
from aiida_dpasse.seeds import derive_seed

Array = NDArray[np.float64]
Energies = Callable[[Array], Array]

#: Start time of the driver in s.
BEGUN = time.monotonic()
#: Landscapes of all ions, and the energies of a job that reached its time limit, by which the next one continues.
LANDSCAPE, ENERGIES = 'landscape.npz', 'energies.npz'
#: Folder with the energies of an earlier job.
EARLIER = 'earlier'
#: Frames that an ASE calculator evaluates between two looks at the clock.
FRAMES_PER_LOOK = 16
#: Thresholds in eV of the free volumes.
THRESHOLDS = (0.3, 0.4, THRESHOLD, 0.6, 0.8)


class OutOfTimeError(Exception):
    """The job must stop before the scheduler stops it."""


def potential_energies(path: str, symbols: list[str], cell: Array) -> Energies:
    """Return the energies of a DeePMD potential, of many frames in one call.

    :param path: model file.
    :param symbols: (n,), elements.
    :param cell: (3, 3) A.
    :returns: function of positions (m, n, 3) in A, with at most `ATOMS_PER_CALL` atoms in all, or one frame.
    """
    from deepmd.infer import DeepPot

    potential = DeepPot(path)
    type_map = list(potential.get_type_map())
    types = [type_map.index(symbol) for symbol in symbols]

    def energies(positions: Array) -> Array:
        count = len(positions)
        cells = np.tile(cell.reshape(1, 9), (count, 1))
        return np.asarray(potential.eval(positions.reshape(count, -1), cells, types)[0], dtype=float).reshape(count)

    return energies


def calculator_energies(calculator: Any, symbols: list[str], cell: Array) -> Energies:
    """Return the energies of an ASE calculator, of one frame after the other; of CHGNet without forces and stress.

    :param calculator: the calculator.
    :param symbols: (n,), elements.
    :param cell: (3, 3) A.
    """
    from ase import Atoms

    if type(calculator).__module__.startswith('chgnet.'):
        return chgnet_energies(calculator.model, symbols, cell)
    atoms = Atoms(symbols, positions=np.zeros((len(symbols), 3)), cell=cell, pbc=True)
    atoms.calc = calculator

    def energies(positions: Array) -> Array:
        found = []
        for frame in positions:
            atoms.positions[:] = frame
            found.append(float(atoms.get_potential_energy()))
        return np.array(found)

    return energies


def chgnet_energies(model: Any, symbols: list[str], cell: Array) -> Energies:
    """Return the energies of CHGNet without gradients, which take most of the time of its calculator.

    :param model: a `chgnet.model.CHGNet`.
    :param symbols: (n,), elements.
    :param cell: (3, 3) A.
    """
    import torch
    from pymatgen.core import Structure

    def energies(positions: Array) -> Array:
        graphs = [
            model.graph_converter(Structure(cell, symbols, frame, coords_are_cartesian=True)) for frame in positions
        ]
        with torch.no_grad():
            found = model.predict_graph(graphs, task='e', batch_size=FRAMES_PER_LOOK)
        atoms = len(symbols) if model.is_intensive else 1
        # The answer to a list of one is not in a list.
        each_frame = [found] if isinstance(found, dict) else found
        return np.array([float(each['e']) * atoms for each in each_frame])

    return energies


class Store:
    """Energies that were calculated, by ion and voxel, and the time that is left.

    :param energies: of positions (m, natoms, 3) in A.
    :param positions: (natoms, 3) A, those of the crystal.
    :param grid: the grid.
    :param seconds: time limit of the job in s, or None.
    :param most: largest number of frames of one call of ``energies``.
    """

    def __init__(
        self, energies: Energies, positions: Array, grid: Grid, seconds: float | None, most: int = FRAMES_PER_LOOK
    ):
        self._energies, self._positions, self._grid, self._seconds = energies, positions, grid, seconds
        self._chunk = max(1, min(most, ATOMS_PER_CALL // len(positions)))
        self._longest, self._last = 0.0, BEGUN
        self.known: dict[int, Array] = {}
        self.calls = 0
        self.processor_s = 0.0

    def load(self, path: Path) -> None:
        """Read the energies of an earlier job, if there are any."""
        if path.is_file():
            with np.load(path) as content:
                self.known = {int(name): content[name] for name in content}

    def save(self, path: Path) -> None:
        """Write all energies, for a later job."""
        np.savez(path, **{str(ion): values for ion, values in self.known.items()})  # type: ignore[arg-type]

    def of(self, ion: int, voxels: NDArray[np.int64]) -> Array:
        """Return the energies (m,) in eV with an atom at each of the voxels (m,).

        :param ion: index of the atom.
        :param voxels: numbers.
        :raises OutOfTimeError: if the time limit is near; the energies so far are kept.
        """
        known = self.known.setdefault(ion, np.full(self._grid.size, np.nan))
        wanted = voxels[np.isnan(known[voxels])]
        for start in range(0, len(wanted), self._chunk):
            chosen = wanted[start : start + self._chunk]
            frames = np.tile(self._positions, (len(chosen), 1, 1))
            frames[:, ion] = self._grid.fractional(chosen) @ self._grid.cell
            began = time.process_time()
            known[chosen] = self._energies(frames)
            self.processor_s += time.process_time() - began
            self.calls += len(chosen)
            now = time.monotonic()
            self._longest, self._last = max(self._longest, now - self._last), now
            if self._seconds is not None and now + self._longest > BEGUN + self._seconds:
                raise OutOfTimeError
        return known[voxels]


class Crystal:
    """A crystal with its symmetry on the grid.

    :param job: content of the job file.
    """

    def __init__(self, job: dict[str, Any]):
        parameters = job['parameters']
        self.symbols, self.cell = list(job['symbols']), np.array(job['cell'], dtype=float)
        self.positions = np.array(job['positions'], dtype=float)
        self.fractional = self.positions @ np.linalg.inv(self.cell)
        group = Operations.identity()
        if (found := job['operations']) is not None:
            group = Operations(
                np.array(found['rotations'], dtype=np.int64), np.array(found['translations']), np.array(found['origin'])
            )
        self.grid = Grid.of(self.cell, parameters['spacing'], group)
        group = group.about(self.grid.origin)
        self.group = group.take(group.on_grid(self.grid.shape))
        self.mobile = np.flatnonzero(np.array(self.symbols) == parameters['ion'])
        #: To which of the mobile ions each operation brings each of them.
        self.mapping = self.group.permutations(self.cell, self.fractional[self.mobile], 10 * SITE_TOLERANCE)
        first = np.flatnonzero(self.mapping.min(axis=0) == np.arange(len(self.mobile)))
        self.unrelated = len(first)
        if parameters['ions'] is not None and parameters['ions'] < len(first):
            rng = np.random.default_rng(derive_seed(parameters['seed'], 'ions'))
            first = np.sort(rng.choice(first, parameters['ions'], replace=False))
        #: Numbers of the ions to scan, among the mobile ones.
        self.chosen = first

    def scan(self, number: int, store: Store, parameters: dict[str, Any]) -> Scan:
        """Return the scan of one ion.

        :param number: number of the ion among the mobile ones.
        """
        ion = int(self.mobile[number])
        others = np.delete(self.fractional, ion, axis=0)
        valid = self.grid.far_from(others, parameters['minimum_distance'])
        fixed = self.group.take(self.mapping[:, number] == number)
        return scan_ion(
            lambda voxels: store.of(ion, voxels),
            self.grid,
            valid,
            self.fractional[ion],
            fixed if len(fixed) > 1 else None,
            parameters['highest_level'],
        )

    def equivalent(self, number: int, landscape: Array) -> Iterator[Array]:
        """Yield the landscapes of an ion and of those that symmetry relates to it.

        :param number: number of the ion among the mobile ones.
        :param landscape: that of this ion.
        """
        # One operation for each of these ions: those that fix an ion do not change its landscape.
        _, cosets = np.unique(self.mapping[:, number], return_index=True)
        for image in self.grid.images(self.group.take(np.isin(np.arange(len(self.group)), cosets))):
            found = np.empty(self.grid.size)
            found[image] = landscape.ravel()
            yield found.reshape(self.grid.shape)


#: Levels of which the lowest of all ions counts.
LEVELS = ('mpe_eV', *(f'percolation_{name}_eV' for name in ('1d', '2d', '3d', 'a', 'b', 'c')))


def levels_of(found: Percolation) -> dict[str, float]:
    """Return the levels of percolation by the names in `LEVELS`."""
    return dict(zip(LEVELS, (found.box, *found.dimensions, *found.axes), strict=True))


def scan_crystal(crystal: Crystal, store: Store, parameters: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Scan all chosen ions.

    :returns: the results, in which a level above all that is known is infinite, and the arrays ``energy_eV`` and
        ``level_eV``: the minimum over the ions of their energies above the lowest, and of their level maps.
    """
    energy, level = np.full((2, *crystal.grid.shape), np.inf)
    rows = []
    for number in crystal.chosen.tolist():
        scan = crystal.scan(number, store, parameters)
        levels = level_map(scan.energies, *lowest_voxels(scan.energies))
        landscapes = list(crystal.equivalent(number, scan.energies))
        energy = np.minimum(energy, np.min(landscapes, axis=0))
        level = np.minimum(level, np.min(list(crystal.equivalent(number, levels)), axis=0))
        # Equivalent ions percolate along other axes, and from other places in the cell.
        found = [levels_of(percolation(each, lowest_voxels(each)[0])) for each in landscapes]
        rows.append(
            {
                'atom': int(crystal.mobile[number]),
                'equivalent': len(landscapes),
                'lowest_eV': scan.lowest,
                'valid': scan.valid,
                'energies': scan.calls,
                **{name: min(each[name] for each in found) for name in LEVELS},
            }
        )
    connected, all_of_them = free_volume(level, THRESHOLD), free_volume(energy, THRESHOLD)
    known = [each for each in THRESHOLDS if parameters['highest_level'] is None or each < parameters['highest_level']]
    results = {
        'ion': parameters['ion'],
        'atoms': len(crystal.symbols),
        'ions': len(crystal.mobile),
        'unrelated_ions': crystal.unrelated,
        'scanned_ions': len(rows),
        'grid': list(crystal.grid.shape),
        'voxels': crystal.grid.size,
        'operations': len(crystal.group),
        'highest_level_eV': parameters['highest_level'],
        'xi': ranking_descriptor(connected, all_of_them),
        'fv_conn': connected,
        'fv_disc': all_of_them,
        **{name: min(row[name] for row in rows) for name in LEVELS},
        'free_volumes': [
            {'threshold_eV': each, 'fv_conn': free_volume(level, each), 'fv_disc': free_volume(energy, each)}
            for each in known
        ],
        'energies': sum(row['energies'] for row in rows),
        'energies_of_all_voxels': len(crystal.mobile) * crystal.grid.size,
        'scans': rows,
    }
    return results, {'energy_eV': energy, 'level_eV': level, 'origin': crystal.grid.origin}


def make_energies(job: dict[str, Any], crystal: Crystal) -> Energies:
    """Return the energies of the potential or the calculator of the job."""
    if job['potential'] is not None:
        return potential_energies(job['potential'], crystal.symbols, crystal.cell)
    return calculator_energies(make_calculator(**job['calculator']), crystal.symbols, crystal.cell)


def main(arguments: list[str]) -> int:
    """Scan the crystal of ``job.json``; write ``output/landscape.npz``, and ``output.json`` with the results."""
    job = read_job(arguments)
    parameters = job['parameters']
    output = Path(OUTPUT)
    output.mkdir(exist_ok=True)
    results, error, stopped = None, None, False
    try:
        crystal = Crystal(job)
        # DeePMD-kit divides the frames itself, by the memory of the machine.
        most = FRAMES_PER_LOOK if job['potential'] is None else ATOMS_PER_CALL
        store = Store(make_energies(job, crystal), crystal.positions, crystal.grid, job['seconds'], most)
        store.load(Path(EARLIER) / ENERGIES)
        try:
            results, arrays = scan_crystal(crystal, store, parameters)
        except OutOfTimeError:
            stopped = True
            store.save(output / ENERGIES)
        else:
            np.savez(output / LANDSCAPE, **{name: values.astype(np.float32) for name, values in arrays.items()})  # type: ignore[arg-type]
            results |= {'calculated_energies': store.calls, 'energies_cpu_s': store.processor_s}
            results |= {'cpu_s': time.process_time()}
    except NotAllowedError as exception:
        error = str(exception)
    except Exception as exception:  # each backend raises its own types of exceptions
        error = ' '.join(f'{type(exception).__name__}: {exception}'.split())[:300]
    write_result({'results': results, 'error': error, 'stopped': stopped})
    return 0
