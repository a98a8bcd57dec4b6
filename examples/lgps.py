"""Ionic conductivity of Li10GeP2S12 from the DFT frames of Huang et al., J. Chem. Phys. 154, 094703 (2021).

In a profile with the codes of `aiida-dpasse setup`, with the public data set LiGePS-SSE-PBE, an hour on two cores:

    verdi run examples/lgps.py LGPS-PBE-Huang2021 out/lgps

A committee of three potentials learns the frames of 50 atoms. Held out are DP-GEN's last iterations and its initial
data, which have no virials. Each potential drives one of three replicas at four temperatures. `--steps` and `--ps` set
the length of training and of each run, `--cells` the numbers of unit cells. When the script is started again, finished
steps are taken from the cache. Everything is in the group `lgps`, and its archive beside the reports.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from aiida import orm

from aiida_dpasse.cli.output import say
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.dataset import read_dataset
from aiida_dpasse.deepmd.frameset import FrameSet, concatenate
from aiida_dpasse.dynamics.conductivity_report import read_conductivity
from aiida_dpasse.reports.archive import export_archive
from aiida_dpasse.study.run_chain import run_chain

CODES = {name: f'{name}@localhost' for name in ('dp', 'lmp', 'python')}
TEMPERATURES = [500, 650, 800, 1000]
#: Iterations of DP-GEN with cells of 50 atoms, and the last ones with 50 and with 400.
SMALL, LAST_SMALL, LAST_LARGE = (0, 1, 2, 3, 8, 9, 10), 11, 15
#: Between the models of `demo` and `fast`: 16 ms a step of 50 atoms on one core.
MODEL = {
    'descriptor': {'rcut': 6.0, 'neuron': [16, 32, 64]},
    'fitting_net': {'neuron': [100, 100, 100]},
}
#: What the paper of DPA-SSE gives for its potential and for the sample that it compares with, read off figure 6 (npj
#: Comput. Mater. 11, 266, 2025).
PAPER = {'calculated': 9.0, 'measured': 12.5}


def read_iterations(dataset: Path) -> tuple[FramesData, dict[str, FramesData]]:
    """Return the frames for training and those held out, by name.

    :param dataset: folder of the data set.
    """

    def of(*folders: Path) -> list[FrameSet]:
        return [frames for folder in folders for frames in read_dataset(folder)]

    def iteration(number: int) -> list[FrameSet]:
        return of(*sorted(dataset.glob(f'data.init/*iter.{number:06d}-*')))

    held_out = {
        'perturbed': of(*dataset.glob('data.init/*init.system')),
        'small_cells': iteration(LAST_SMALL),
        'large_cells': iteration(LAST_LARGE),
        'compressed': of(*sorted(dataset.glob('iter.000002/02.fp/data.*'))),
    }
    training = store(frames for number in SMALL for frames in iteration(number))
    return training, {name: store(sets) for name, sets in held_out.items()}


def store(sets: Iterable[FrameSet]) -> FramesData:
    """Return frames as a node."""
    return FramesData.from_sets(concatenate(sets)).store()


def crystal(frames: FramesData) -> orm.StructureData:
    """Return the frame of the lowest energy per atom."""
    energies = np.concatenate([one.energies / one.natoms for one in frames.sets()])
    return frames.get_structure(int(np.argmin(energies))).store()


def main(dataset: Path, directory: Path, steps: int, picoseconds: float, cells: list[int]) -> None:
    """Train, test, simulate, and write what was found."""
    group, _ = orm.Group.collection.get_or_create('lgps')
    training, held_out = read_iterations(dataset)
    others = ', '.join(f'{frames.frames} ({name})' for name, frames in held_out.items())
    say(f'{training.frames} frames for training; held out: {others}')
    recipe = {
        'preset': 'student-demo',
        'input': {
            'model': MODEL,
            'training': {'numb_steps': steps, 'save_freq': steps // 4, 'disp_freq': max(steps // 100, 1)},
        },
    }
    run = partial(run_chain, codes=CODES, group=group, protocol='demo')
    committee = run('committee', directory=directory / 'committee', training_data=training, overrides={'train': recipe})
    potentials = dict(committee.outputs.potentials)
    validate = run('validate', directory=directory / 'validate', potentials=potentials, test_sets=held_out)
    first, *others = sorted(potentials)
    production = round(picoseconds * 1e3 / 2)
    conductivity = run(
        'conductivity',
        directory=directory / 'conductivity',
        structures={'lgps': crystal(held_out['perturbed'])},
        potential=potentials[first],
        committee={name: potentials[name] for name in others},
        overrides={
            'supercell': cells,
            'temperatures': TEMPERATURES,
            'md': {'equilibration': {'ensemble': 'npt', 'steps': production // 4}, 'steps': production},
        },
    )
    nodes = [committee, validate, conductivity]
    say(f'wrote {export_archive(nodes, directory / "lgps.aiida")}')
    found = read_conductivity(conductivity)
    for row in found.temperatures if found else ():
        if row.get('anisotropy') and row['anisotropy'][2] is not None:
            ratio = f'{row["anisotropy"][2]:.2g} ± {row["anisotropy_error"][2]:.2g}'
            say(f'{row["temperature_K"]:.0f} K: D along c is {ratio} times D in the plane of a and b')
    say('DPA-SSE: {calculated:g} mS/cm at room temperature, its experiment {measured:g}'.format(**PAPER))


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('dataset', type=Path)
    parser.add_argument('directory', type=Path, nargs='?', default=Path('out/lgps'))
    parser.add_argument('--steps', type=int, default=30000)
    parser.add_argument('--ps', type=float, default=30.0)
    parser.add_argument('--cells', type=int, nargs=3, default=[2, 2, 1])
    given = parser.parse_args()
    main(given.dataset, given.directory, given.steps, given.ps, given.cells)
