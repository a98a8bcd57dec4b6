"""The second half of quickstart.sh: submit the chain once, watch it, write its results. Run by `verdi run`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

from aiida import orm
from aiida.engine import ProcessBuilder
from pymatgen.core import Structure

from aiida_dpasse.cli.daemon import DaemonKeeper
from aiida_dpasse.cli.output import say
from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.cli.study import find_study, sole_watcher, start_study
from aiida_dpasse.cli.watch import watch
from aiida_dpasse.interrupt import end_on_interrupt
from aiida_dpasse.reports.archive import export_archive
from aiida_dpasse.reports.graph import call_tree
from aiida_dpasse.reports.report import write_report
from aiida_dpasse.reports.timing import clock, phase_times
from aiida_dpasse.structures.disorder import exchange_sites
from aiida_dpasse.structures.prototypes import argyrodite, rock_salt
from aiida_dpasse.study.electrolyte import ElectrolyteWorkChain

PROCESS_TYPE = 'aiida.workflows:dpasse.electrolyte'
PROGRAMS = ('dp', 'lmp', 'python')
#: Arrangements of the exchanged sites, one for each student.
ARRANGEMENTS = 3
#: Exit statuses from here on mean that the chain ran to its end and could not decide: an honest answer, no failure.
UNDETERMINED = 600


def build(seed: int) -> ProcessBuilder:
    """Return the study of Li6PS5Cl, ordered and half exchanged; LiBr makes Li6PS5Br new but of known elements.

    Each student simulates another arrangement of the exchanged sites, so that the error of the conductivity includes
    both.

    :param seed: determines which sites are exchanged, and every random choice of the study.
    """
    crystal = argyrodite('Cl')
    ordered = node(crystal)
    exchanged = [node(exchange_sites(crystal, 0.5, seed + 100 * number)) for number in range(ARRANGEMENTS)]
    return ElectrolyteWorkChain.get_builder_from_protocol(
        codes(),
        protocol='demo',
        overrides={'seed': seed, 'conductivity': {'replicas': 1}},
        structures={'ordered': ordered, 'exchanged': exchanged[0], 'libr': node(rock_salt('Br'))},
        finetune_structures={'li6ps5br': node(argyrodite('Br'))},
        electrolyte={f'arrangement_{number}': cell for number, cell in enumerate(exchanged, 1)},
        reference=ordered,
        calculator=orm.Dict({'name': 'sevennet-l3i5'}),
        # One more than the two cores: they are busy while the engine prepares the next job.
        max_concurrent=3,
    )


def node(structure: Structure) -> orm.StructureData:
    """Return a crystal as a node."""
    return orm.StructureData(pymatgen=structure)


def codes() -> dict[str, orm.InstalledCode]:
    """Return the programs of this machine, and register them if they are not."""
    query = orm.QueryBuilder().append(orm.InstalledCode, filters={'label': {'in': PROGRAMS}})
    if query.count() < len(PROGRAMS):
        command = Path(sys.executable).with_name('aiida-dpasse')
        subprocess.run([str(command), '-p', 'quickstart', 'setup'], check=True)
    return {name: orm.load_code(f'{name}@localhost') for name in PROGRAMS}


def bring_to_end(directory: Path, seed: int | None, keeper: DaemonKeeper) -> orm.ProcessNode:
    """Submit the study or find it again, and watch it until it has ended."""
    study = find_study(directory, PROCESS_TYPE)
    if study is None:
        seed = 1 if seed is None else seed
        keeper.start()  # its worker boots while the programs are looked for
        study = start_study(directory, partial(build, seed))
        say(f'Submitted {study.process_label} {study.uuid}')
    else:
        if seed not in (None, (own := study.inputs.parameters['seed'])):
            raise Refusal(
                f'{directory} contains the study with the seed {own}: give another directory for the seed {seed}.'
            )
        say(f'Found {study.process_label} {study.uuid}: {study.process_state.value}')
    watch(study, keeper)
    return study


def main(directory: Path, seed: int | None) -> int:
    """Bring the study in a directory to its end and write its results; return the exit status.

    :param directory: directory of the study.
    :param seed: of a new study, by default 1.
    """
    end_on_interrupt()
    keeper = DaemonKeeper()
    again = f'bash {Path(__file__).with_name("quickstart.sh")} {directory}'
    with sole_watcher(directory):
        try:
            study = bring_to_end(directory, seed, keeper)
        except KeyboardInterrupt:
            say(f'\nThe work goes on without this display. To come back to it: {again}')
            return 130
        try:
            archive = export_archive([study], directory / 'quickstart.aiida')
            for path in [*write_report(study, directory), archive]:
                say(f'wrote {path}')
        finally:
            keeper.stop()
    for phase in phase_times(call_tree(study.pk)):
        say(f'{phase.phase:<20} {clock(phase.wall_s):>12}   {phase.jobs} jobs')
    if study.is_finished_ok:
        return 0
    say(f'{study.process_label} ended with exit code {study.exit_status}: {study.exit_message}')
    if (study.exit_status or 0) >= UNDETERMINED:
        return 0
    say(f'What happened: AIIDA_PATH={directory} verdi -p quickstart process report {study.pk}')
    return 1


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('directory', type=Path)
    parser.add_argument('--seed', type=int)
    sys.exit(main(**vars(parser.parse_args())))
