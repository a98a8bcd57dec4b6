"""Li6PS5Cl, ordered and with half of its free S and Cl exchanged: in the one lithium stays in its cages, through the
other it diffuses (Kraft et al., J. Am. Chem. Soc. 139, 10909, 2017; de Klerk et al., Chem. Mater. 28, 7955, 2016).
Beside the report of each, the hops of lithium from cage to cage are counted.

In the quickstart's profile, with its student (half an hour):

    AIIDA_PATH=out verdi -p quickstart run examples/known_case.py

and with CHGNet itself, through the same chain, shorter and at one temperature (three hours on one core):

    AIIDA_PATH=out verdi -p quickstart run examples/known_case.py chgnet
"""

import sys
from pathlib import Path

import numpy as np
from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.dynamics.conductivity_report import read_conductivity
from aiida_dpasse.frames.exchange_sites import exchange_sites
from aiida_dpasse.lammps.dump import DumpReader
from aiida_dpasse.lammps.script import TRAJECTORY_FILE
from aiida_dpasse.reports.msd import plot_msd
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.structures.disorder import free_sites
from aiida_dpasse.structures.prototypes import argyrodite
from aiida_dpasse.transport.hops import find_hops

CODES = {'lmp': 'lmp@localhost', 'python': 'python@localhost'}
STUDENT = {
    'temperatures': [300],
    'replicas': 1,
    'md': {'equilibration': {'steps': 2500}, 'steps': 250000, 'trajectory_interval': 100, 'thermo_interval': 2500},
    'extrapolate_to': None,
    'seed': 3,
}
#: 0.1 s a step on one core, and so hotter and shorter. At 800 K the cages of the ordered crystal leak as well.
CALCULATOR = {
    'temperatures': [600],
    'replicas': 1,
    'md': {'equilibration': {'steps': 500}, 'steps': 50000},
    'extrapolate_to': None,
    'seed': 3,
}


def driver(name: str | None) -> dict[str, orm.Data]:
    """Return what drives the dynamics: a calculator by its name, or the student of the quickstart."""
    if name:
        return {'calculator': orm.Dict({'name': name})}
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
    return {'potential': query.first(flat=True).outputs.distill.student}


def hops_between_cages(node: orm.WorkChainNode) -> str:
    """Return how often a lithium went from one cage to another, from the trajectories where they lie."""
    # The free S of the ordered crystal are the centres of the cages, whoever sits there.
    crystal = argyrodite('Cl')
    centres = crystal.frac_coords[free_sites(crystal)]
    hops, back, time = 0, [], 0.0
    for job in node.called_descendants:
        parameters = job.inputs.parameters.get_dict() if isinstance(job, orm.CalcJobNode) else {}
        path = Path(job.outputs.remote_folder.get_remote_path(), TRAJECTORY_FILE) if 'timestep' in parameters else None
        if path is None or not path.exists():
            continue
        steps, cells, positions = (np.array(part) for part in zip(*DumpReader([path]), strict=True))
        lithium = np.array([site.kind_name for site in job.inputs.structure.sites]) == 'Li'
        framework = positions[:, ~lithium].mean(axis=1, keepdims=True)
        interval = float(steps[1] - steps[0]) * parameters['timestep'] * 1e-3
        found = find_hops((positions - framework + framework[0])[:, lithium], cells[0], centres, interval, core=2.6)
        hops, time = hops + len(found.events), time + found.ions * found.duration
        back.append(found.back_jumps())
    straight_back = [part for part in back if part is not None]
    told = f', {np.mean(straight_back):.0%} of them straight back' if straight_back else ''
    return f'{hops} hops from cage to cage, {hops / time * 1e3:.2g} of each Li in a nanosecond{told}'


def main() -> None:
    """Run both crystals, print what each report says, and draw their displacements in one picture."""
    name = sys.argv[1] if len(sys.argv) > 1 else None
    ordered = orm.StructureData(pymatgen=argyrodite('Cl')).store()
    exchanged = exchange_sites(ordered, orm.Dict({'fraction': 0.5, 'seed': 1}))
    directory, given, found = Path('out/known_case'), driver(name), {}
    for label, structure in {'ordered': ordered, 'exchanged': exchanged}.items():
        builder = WorkflowFactory('dpasse.conductivity').get_builder_from_protocol(
            CODES,
            protocol='demo',
            overrides=CALCULATOR if name else STUDENT,
            structures={label: structure},
            **given,
        )
        node = engine.run_get_node(builder).node
        print(f'{label}: {report_text(node)}\n{label}: {hops_between_cages(node)}\n')
        write_report(node, directory / label)
        found[label] = read_conductivity(node)
    if all(found.values()):
        plot_msd(directory / 'msd.png', found['exchanged'].curves, found['ordered'].curves)


main()
