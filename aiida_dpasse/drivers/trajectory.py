"""Driver: molecular dynamics with an ASE calculator, with a trajectory in the format of LAMMPS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from aiida_dpasse.drivers.calculators import NotAllowedError
from aiida_dpasse.drivers.job import OUTPUT, read_job, write_result
from aiida_dpasse.drivers.labellers import make_calculator
from aiida_dpasse.lammps.watch import DRIFT, EXPLOSION, HEATING, MELTING, STRIDE
from aiida_dpasse.transport.displacement import framework_weights

Array = NDArray[np.float64]

TRAJECTORY, THERMO, LAST = 'trajectory.lammpstrj', 'thermo.npz', 'last.npz'


class Watch:
    """Limits of a run, with the definitions of `lammps.watch`."""

    def __init__(self, atoms: Any, job: dict[str, Any]):
        self.parameters = job['parameters']
        self.limits = self.parameters['watch'] or {}
        self.framework = ~np.isin(np.array(job['symbols']), self.limits.get('mobile') or [])
        self.weights = framework_weights(atoms.get_masses(), self.framework)
        self.sites = atoms.get_positions()
        self.start = (self.parameters['equilibration'] or {'steps': 0})['steps']
        self.energy: float | None = None

    def displacement(self, positions: Array) -> float:
        """Return the root mean square displacement in A of the framework from its sites, without its drift.

        :param positions: positions (natoms, 3) in A.
        """
        moved = positions - self.sites
        moved = (moved - self.weights @ moved)[self.framework]
        return float(np.sqrt(np.mean(np.sum(moved**2, axis=1)))) if len(moved) else 0.0

    def crossed(self, step: int, atoms: Any, conserved: float) -> tuple[str, float] | None:
        """Return the exceeded limit and the value, or None.

        :param step: step of the run.
        :param atoms: ASE atoms with calculator.
        :param conserved: conserved energy in eV.
        """
        forces = np.sqrt(np.max(np.sum(atoms.get_forces() ** 2, axis=1)))
        if not np.isfinite(forces) or not np.isfinite(atoms.get_positions()).all():
            return EXPLOSION, float(forces)
        found: dict[str, tuple[float | None, float]] = {
            EXPLOSION: (self.parameters['stop_force'], float(forces)),
            MELTING: (self.limits.get('framework_displacement'), self.displacement(atoms.get_positions())),
        }
        if step >= self.start:
            self.energy = conserved if self.energy is None else self.energy
            elapsed = max(1.0, 1e-3 * self.parameters['timestep'] * (step - self.start))
            rate = 1000 * abs(conserved - self.energy) / len(atoms) / elapsed
            found[DRIFT] = self.limits.get('energy_drift'), rate
            part = self.limits.get('heating')
            highest = None if part is None else (1 + part) * self.parameters['temperature']
            found[HEATING] = highest, float(atoms.get_temperature())
        for name, (limit, value) in found.items():
            if limit is not None and value > limit:
                return name, value
        return None


def make_dynamics(job: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return ASE atoms with calculator and velocities, and a constructor of the integrator for each ensemble.

    The canonical ensemble is sampled with the velocity rescaling of Bussi (J. Chem. Phys. 126, 014101, 2007), which
    hardly affects the diffusion of the ions.

    :param job: content of the job file.
    """
    from ase import Atoms, units
    from ase.md.bussi import Bussi
    from ase.md.verlet import VelocityVerlet

    parameters = job['parameters']
    atoms = Atoms(job['symbols'], positions=job['positions'], cell=job['cell'], pbc=True)
    atoms.set_masses(job['masses'])
    atoms.calc = make_calculator(**job['calculator'])
    rng = np.random.default_rng(parameters['seed'])
    momenta = np.sqrt(atoms.get_masses() * units.kB * parameters['temperature'])[:, None]
    momenta = momenta * rng.standard_normal((len(atoms), 3))
    # As in LAMMPS, the total momentum is zero and the initial temperature exact.
    momenta -= atoms.get_masses()[:, None] * momenta.sum(axis=0) / atoms.get_masses().sum()
    atoms.set_momenta(momenta)
    atoms.set_momenta(momenta * np.sqrt(parameters['temperature'] / atoms.get_temperature()))
    timestep = parameters['timestep'] * units.fs
    damping = parameters['temperature_damping'] * units.fs
    return atoms, {
        'nve': lambda: VelocityVerlet(atoms, timestep),
        'nvt': lambda: Bussi(atoms, timestep, parameters['temperature'], damping, rng=rng),
    }


def steps(job: dict[str, Any]) -> Iterator[tuple[int, Any, float]]:
    """Run equilibration and production, and yield each step from step 0 on.

    :param job: content of the job file.
    :returns: step, atoms and conserved energy in eV.
    """
    parameters = job['parameters']
    atoms, integrators = make_dynamics(job)
    stages = [(stage['ensemble'], stage['steps']) for stage in [parameters['equilibration'], parameters] if stage]
    step, given = 0, 0.0
    yield step, atoms, float(atoms.get_total_energy())
    for ensemble, count in stages:
        dynamics = integrators[ensemble]()
        for _ in range(count):
            dynamics.step()
            step += 1
            yield step, atoms, float(atoms.get_total_energy()) - given - getattr(dynamics, 'transferred_energy', 0.0)
        given += getattr(dynamics, 'transferred_energy', 0.0)


def write_frame(handle: IO[str], step: int, atoms: Any, kinds: list[int]) -> None:
    """Write one frame in the dump format of LAMMPS.

    :param handle: trajectory file.
    :param step: step of the frame.
    :param atoms: ASE atoms with a lower triangular cell.
    :param kinds: type of each atom, counted from 1.
    """
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = atoms.cell.array
    low, high = min(0.0, xy, xz, xy + xz), max(0.0, xy, xz, xy + xz)
    lines = ['ITEM: TIMESTEP', str(step), 'ITEM: NUMBER OF ATOMS', str(len(atoms))]
    lines += ['ITEM: BOX BOUNDS xy xz yz pp pp pp', f'{low:.16g} {lx + high:.16g} {xy:.16g}']
    lines += [f'{min(0.0, yz):.16g} {ly + max(0.0, yz):.16g} {xz:.16g}', f'0 {lz:.16g} {yz:.16g}']
    lines.append('ITEM: ATOMS id type xu yu zu')
    for index, (kind, place) in enumerate(zip(kinds, atoms.get_positions(), strict=True), 1):
        lines.append(f'{index} {kind} ' + ' '.join(f'{value:.10g}' for value in place))
    handle.write('\n'.join(lines) + '\n')
    handle.flush()


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run the dynamics and write trajectory, thermodynamic data and final positions.

    :param job: content of the job file.
    :returns: the last step, the exceeded limit, and timings in s.
    """
    parameters = job['parameters']
    elements = sorted(set(job['symbols']))
    kinds = [elements.index(symbol) + 1 for symbol in job['symbols']]
    rows: list[tuple[float, ...]] = []
    stopped, started, watch, step = None, time.monotonic(), None, 0
    production = started, time.process_time()
    interval = parameters['trajectory_interval']
    with Path(TRAJECTORY).open('w') as handle:
        for step, atoms, conserved in steps(job):
            watch = watch or Watch(atoms, job)
            if step <= watch.start:
                production = time.monotonic(), time.process_time()
            if step % parameters['thermo_interval'] == 0:
                potential, moved = float(atoms.get_potential_energy()), watch.displacement(atoms.get_positions())
                kinetic = float(atoms.get_kinetic_energy())
                rows.append((step, atoms.get_temperature(), potential, kinetic, conserved, atoms.get_volume(), moved))
            if interval and step >= watch.start and step % interval == 0:
                write_frame(handle, step, atoms, kinds)
            if step % STRIDE == 0 and (stopped := watch.crossed(step, atoms, conserved)) is not None:
                break
    taken = time.monotonic() - started
    measured = [time.monotonic() - production[0], time.process_time() - production[1]]
    Path(OUTPUT).mkdir(exist_ok=True)
    columns = ('step', 'temperature_K', 'potential_energy_eV', 'kinetic_energy_eV', 'conserved_energy_eV', 'volume_A3')
    table = np.array(rows).T
    np.savez(Path(OUTPUT) / THERMO, **dict(zip((*columns, 'framework_displacement_A'), table, strict=True)))
    np.savez(Path(OUTPUT) / LAST, positions=atoms.get_positions())
    stop = stopped and [stopped[0], step, stopped[1]]
    return {'error': None, 'step': step, 'stopped': stop, 'loop_time_s': taken, 'production_s': measured}


def main(arguments: list[str]) -> int:
    """Run the dynamics of the job; an exception is reported in the result."""
    job = read_job(arguments)
    try:
        result = run(job)
    except NotAllowedError as error:
        result = {'error': str(error)}
    except Exception as error:  # calculators raise exceptions of any type; the parser reports them
        result = {'error': f'{type(error).__name__}: {error}'}
    write_result(result)
    return 0
