"""Active learning on the 13 atoms of Li6PS5Cl, labelled by density-functional theory (CP2K, PBEsol): at most 14 frames.

With CP2K on this machine (Debian: apt-get install cp2k) and the extra `cp2k` beside `local`, in any profile that
`aiida-dpasse setup` has seen since:
    python examples/active_learning_cp2k.py
in the quickstart's: AIIDA_PATH=out verdi -p quickstart run examples/active_learning_cp2k.py

Eight perturbed crystals, then two iterations of three tiny potentials that choose three frames each: some 15 minutes on
two cores, most of them CP2K's (half a minute a frame). The protocol `demo` is quick, not to be published: a grid of
300 Ry, 2 x 2 x 2 k-points, electrons converged to 1e-5.
"""

import time

from aiida import engine, load_profile, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say
from aiida_dpasse.structures.prototypes import argyrodite

CODES = {name: f'{name}@localhost' for name in ('dp', 'lmp', 'python', 'cp2k')}
# CP2K has both cores: one job at a time, with two threads.
OPTIONS = {'label': {'prepend_text': 'export OMP_NUM_THREADS=2'}}


def main() -> None:
    """Label first frames, learn, and say what came of it."""
    start = time.monotonic()
    crystal = orm.StructureData(pymatgen=argyrodite('Cl', primitive=True))
    builder = WorkflowFactory('dpasse.initial_data').get_builder_from_protocol(
        CODES,
        protocol='demo',
        overrides={'scales': [1.0], 'perturbations': {'number': 8, 'displacement': 0.15}, 'dynamics': None},
        options=OPTIONS,
        structures={'li6ps5cl': crystal},
    )
    first, node = engine.run_get_node(builder)
    summarize(start, node, first['account'])

    builder = WorkflowFactory('dpasse.active_learning').get_builder_from_protocol(
        CODES,
        protocol='demo',
        overrides={
            'max_active_iterations': 2,
            'validation': 2,
            'explore': {'runs': 2, 'temperatures': [300, 600], 'max_candidates': 3},
        },
        options=OPTIONS,
        frames=first['frames'],
        structures={'li6ps5cl': crystal},
    )
    results, node = engine.run_get_node(builder)
    summarize(start, node, results['account'])
    for row in results['iterations']['iterations']:
        say(
            f'  iteration {row["iteration"]}: learned from {row["frames"]} frames, {row["accurate"]} of '
            f'{row["sampled"]} sampled ones accurate, {row["labelled"]} labelled, force MAE '
            f'{row["force_mae_meV_A"]:.0f} meV/A on frames held out'
        )
    frames = results['frames']
    say(f'{frames.frames} labelled frames in FramesData<{frames.pk}>. {results["iterations"]["verdict"]}')


def summarize(start: float, node: orm.WorkChainNode, account: orm.Dict) -> None:
    """Print what became of the frames that were to be labelled."""
    counts = {state: len(account[state]) for state in ('rejected', 'failed')}
    say(
        f'{(time.monotonic() - start) / 60:.1f} min: {node.process_label}<{node.pk}> ended with exit code '
        f'{node.exit_status}; of {account["requested"]} frames CP2K labelled {account["admitted"]}, '
        f'{counts["rejected"]} rejected, {counts["failed"]} failed'
    )


if __name__ == '__main__':
    load_profile()
    main()
