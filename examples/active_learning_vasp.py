"""Active learning of Li6PS5Cl with the paper's labels: VASP, PBEsol, 600 eV. Complete but for the names in capitals.

VASP runs on a cluster, everything else where `aiida-dpasse setup` found it:
    aiida-vasp potcar uploadfamily --path potpaw_PBE.54 --name PBE.54 --description "PAW, PBE, 54"
    verdi code create core.code.installed --label vasp --computer CLUSTER --filepath-executable /path/to/vasp_std
    verdi run examples/active_learning_vasp.py

It submits the first frames: displaced and strained crystals, and short AIMD from them. Started again when they are
done, with their pk, it submits the loop:
    verdi run examples/active_learning_vasp.py 1234

The protocol `balanced` is for daily work: a hundred labels an iteration, ten iterations at most; `dpa-sse` is the
paper's.
"""

import sys

from aiida import engine, load_profile, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say
from aiida_dpasse.structures.prototypes import argyrodite

CLUSTER = 'cluster'
POTCAR_FAMILY = 'PBE.54'
CODES = {name: f'{name}@localhost' for name in ('dp', 'lmp', 'python')} | {'vasp': f'vasp@{CLUSTER}'}
OPTIONS = {
    'vasp': {
        'withmpi': True,
        'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 48},
        'max_wallclock_seconds': 4 * 3600,
    },
}
LABEL = {'vasp': {'potential_family': POTCAR_FAMILY}}


def first_frames() -> engine.ProcessBuilder:
    """Frames to start from: fifty scaled and displaced crystals, and a short AIMD from each."""
    return WorkflowFactory('dpasse.initial_data').get_builder_from_protocol(
        CODES,
        protocol='balanced',
        overrides={'label': LABEL},
        options=OPTIONS,
        structures={'li6ps5cl': orm.StructureData(pymatgen=argyrodite('Cl'))},
        max_concurrent=20,
    )


def loop(initial: orm.WorkChainNode) -> engine.ProcessBuilder:
    """Train, explore and label until the committee and the held-out frames agree."""
    return WorkflowFactory('dpasse.active_learning').get_builder_from_protocol(
        CODES,
        protocol='balanced',
        overrides={'label': LABEL},
        options=OPTIONS,
        frames=initial.outputs.frames,
        structures=dict(initial.inputs.structures),
        max_concurrent=20,
    )


if __name__ == '__main__':
    load_profile()
    builder = loop(orm.load_node(sys.argv[1])) if len(sys.argv) > 1 else first_frames()
    node = engine.submit(builder)
    say(f'Submitted {node.process_label}<{node.pk}>: watch it with `aiida-dpasse status {node.pk}`.')
