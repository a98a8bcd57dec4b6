"""Diffusion in Li6PS5Cl and Li6PS5I at 500 K, ordered and half exchanged, from labels of SevenNet-l3i5.

In a profile with the codes of `aiida-dpasse setup`, an hour on two cores:

    verdi run examples/argyrodites.py out/argyrodites

An independent source is the DFT dynamics of B. J. Morgan, Chem. Mater. 33, 2004 (2021), with 416 atoms at 500 K. Cell,
temperature and degree of disorder are the same here. `--ps` sets the length of each run. When the script is started
again, finished steps are taken from the cache. Everything is in the group `argyrodites`, and its archive beside the
reports.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.manage.caching import enable_caching

from aiida_dpasse.cli.output import say
from aiida_dpasse.dynamics.conductivity_report import read_conductivity
from aiida_dpasse.frames.exchange_sites import exchange_sites
from aiida_dpasse.frames.make_supercell import make_supercell
from aiida_dpasse.reports.archive import export_archive
from aiida_dpasse.reports.msd import plot_msd
from aiida_dpasse.structures.prototypes import argyrodite
from aiida_dpasse.study.run_chain import run_chain

CODES = {name: f'{name}@localhost' for name in ('dp', 'lmp', 'python')}
#: Lattice constants of the DFT dynamics in A, and D* at 500 K in cm^2/s that its trajectories give.
LATTICE = {'Cl': 10.156, 'I': 10.2165}
DFT = {'Cl exchanged': 1.1e-5, 'I exchanged': 5.7e-6, 'Cl ordered': None, 'I ordered': None}
SEED = 1


def steps(number: int) -> dict[str, Any]:
    """Return the change of a training's length."""
    return {'input': {'training': {'numb_steps': number, 'save_freq': number // 2}}}


def students(
    run: Callable[..., orm.WorkChainNode], directory: Path, cells: dict[str, orm.StructureData]
) -> list[orm.WorkChainNode]:
    """Return the chains that lead to three students for all cells, the distillation last."""
    calculator = {'calculator': {'name': 'sevennet-l3i5'}}
    data = run('initial_data', directory=directory / 'initial_data', structures=cells, **calculator)
    loop = run(
        'active_learning',
        directory=directory / 'active_learning',
        structures=cells,
        frames=data.outputs.frames,
        overrides={'explore': {'max_candidates': 72}},
        **calculator,
    )
    teacher = run(
        'pretrain',
        directory=directory / 'pretrain',
        frames=loop.outputs.frames,
        overrides={'train': {'preset': 'dpa2-demo', **steps(6000)}},
    )
    distill = run(
        'distill',
        directory=directory / 'distill',
        structures=cells,
        teacher=teacher.outputs.frozen,
        overrides={'train': {'preset': 'student-demo', **steps(12000)}},
    )
    return [data, loop, teacher, distill]


def main(directory: Path, picoseconds: float) -> None:
    """Make the students, simulate each crystal, and compare with the DFT dynamics."""
    group, _ = orm.Group.collection.get_or_create('argyrodites')
    cells, large = {}, {}
    with enable_caching():
        for halogen, edge in LATTICE.items():
            exchange = orm.Dict({'fraction': 0.5, 'second': halogen, 'seed': SEED})
            ordered = orm.StructureData(pymatgen=argyrodite(halogen, a=edge)).store()
            grown = make_supercell(ordered, orm.Dict({'supercell': [2, 2, 2]}))
            cells |= {f'{halogen}_ordered': ordered, f'{halogen}_exchanged': exchange_sites(ordered, exchange)}
            large |= {f'{halogen} exchanged': exchange_sites(grown, exchange), f'{halogen} ordered': grown}
    run = partial(run_chain, codes=CODES, group=group, protocol='demo')
    nodes = students(run, directory, cells)
    found = {}
    for name, crystal in large.items():
        label = name.replace(' ', '_')
        node = run(
            'conductivity',
            directory=directory / label,
            structures={label: crystal},
            potential=nodes[3].outputs.student,
            committee=dict(nodes[3].outputs.committee),
            overrides={
                'temperatures': [500],
                'extrapolate_to': None,
                'md': {
                    'equilibration': {'steps': 1000},
                    'steps': round(picoseconds * 1e3 / 2),
                    'trajectory_interval': 25,
                    'thermo_interval': 250,
                },
                'trust': {'interval': 50},
            },
        )
        nodes.append(node)
        found[name] = read_conductivity(node)
    say(f'wrote {export_archive(nodes, directory / "argyrodites.aiida")}')
    for halogen in LATTICE:
        exchanged, ordered = (found[f'{halogen} {kind}'] for kind in ('exchanged', 'ordered'))
        plot_msd(directory / f'msd_{halogen}.png', exchanged.curves, ordered.curves)
    for name, conductivity in found.items():
        [row] = conductivity.temperatures
        value = (
            f'D = {row["diffusivity_cm2_s"]:.3g} ± {row["error_cm2_s"]:.2g} cm²/s'
            if row['diffusive']
            else row['reason']
        )
        say(f'Li6PS5{name}, 500 K: {value}; DFT: {f"{DFT[name]:g} cm²/s" if DFT[name] else "no diffusion"}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('directory', type=Path, nargs='?', default=Path('out/argyrodites'))
    parser.add_argument('--ps', type=float, default=25.0)
    given = parser.parse_args()
    main(given.directory, given.ps)
