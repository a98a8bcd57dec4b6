"""Tables and plots of any process, generated from its nodes alone: an imported archive gives the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from aiida import orm

from aiida_dpasse.base.label_sources import PREFIX, source_names
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.reports import outcome
from aiida_dpasse.reports.acceptance import acceptance_tables
from aiida_dpasse.reports.accounting import batches
from aiida_dpasse.reports.arrhenius import plot_arrhenius
from aiida_dpasse.reports.chain import chain_svg, pretty
from aiida_dpasse.reports.convergence import convergence_plots, convergence_tables
from aiida_dpasse.reports.efficiency import efficiency_plots, efficiency_tables
from aiida_dpasse.reports.electrolyte import electrolyte_plots, electrolyte_tables
from aiida_dpasse.reports.graph import call_tree, entry_point, output, output_dict
from aiida_dpasse.reports.learning import plot_learning
from aiida_dpasse.reports.locality import locality_plots, locality_tables
from aiida_dpasse.reports.model_study import model_study_plots, model_study_tables
from aiida_dpasse.reports.msd import plot_msd
from aiida_dpasse.reports.pictures import plot_dynamics, plot_frames, plot_iterations
from aiida_dpasse.reports.read import all_errors, bars, error_results, trainings
from aiida_dpasse.reports.speed import speed_plots, speed_tables
from aiida_dpasse.reports.status import latest_iterations
from aiida_dpasse.reports.tables import (
    Table,
    accounts_table,
    errors_table,
    iterations_table,
    phases_table,
    refused_table,
    values_table,
)
from aiida_dpasse.reports.test_sets import sets_plots, sets_tables
from aiida_dpasse.reports.timing import clock, phase_times
from aiida_dpasse.reports.transport import read_conductivity
from aiida_dpasse.reports.validation import validation_plots, validation_tables
from aiida_dpasse.reports.vanhove import plot_van_hove, read_maps

Lines = Callable[[orm.ProcessNode], list[str]]
Tables = Callable[[orm.ProcessNode], list[Table]]
Plots = Callable[[orm.ProcessNode, Path], list[Path]]


class Report(NamedTuple):
    """Report of a kind of process: lines for diagrams and the progress display, tables, and plots."""

    lines: Lines
    tables: Tables
    plots: Plots


def report_text(process: orm.ProcessNode) -> str:
    """Return the tables of a process as text.

    :param process: any process.
    """
    tree = call_tree(process.pk)
    top = tree[0]
    ended = top.state if top.exit_status is None else f'{top.state} [{top.exit_status}]'
    head = [f'{top.name} {top.uuid[:8]}  {ended}  {clock(top.seconds())}']
    head += [reason] if (reason := top.exit_message or process.exception or '') else []
    tables = [phases_table(phase_times(tree)), *_report(process).tables(process)]
    parts = ['\n'.join(head), *('\n'.join(block) for block in [outcome.outcome(process)] if block)]
    return '\n\n'.join([*parts, *(table.render() for table in tables if table.rows)])


def write_report(process: orm.ProcessNode, directory: str | Path) -> list[Path]:
    """Write the plots and tables of a process and, for a work chain, the diagram of its phases.

    :param process: any process.
    :param directory: folder of the files, created if necessary.
    :return: the paths of the files.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written = _report(process).plots(process, directory)
    if isinstance(process, orm.WorkChainNode) and directory / 'provenance.svg' not in written:
        written.append(_write(directory / 'provenance.svg', chain_svg(process)))
    return [*written, _write(directory / 'report.txt', report_text(process) + '\n')]


def _write(path: Path, content: str) -> Path:
    path.write_text(content, encoding='utf8')
    return path


def _report(process: orm.ProcessNode) -> Report:
    return REPORTS.get(entry_point(process), Report(outcome.no_lines, no_tables, no_plots))


def no_tables(process: orm.ProcessNode) -> list[Table]:
    """Return the scalar results among the outputs."""
    results = output_dict(process, 'results')
    return [values_table('Results', results)] if results else []


def no_plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Return an empty list."""
    return []


def label_tables(process: orm.ProcessNode) -> list[Table]:
    """Return the accounts, and the reasons for frames without labels."""
    return [accounts_table(batches(process)), refused_table(output_dict(process, 'account'))]


def label_plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the energies and forces of the labelled frames."""
    frames = output(process, 'frames')
    if not isinstance(frames, FramesData) or not frames.labelled:
        return []
    path = directory / 'frames.png'
    plot_frames(path, frames.sets(), {formula: pretty(formula) for formula in frames.formulas})
    return [path]


def learning_plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the learning curves and the errors."""
    path = directory / 'learning.png'
    plot_learning(path, trainings(process), bars(all_errors(process)))
    return [path]


def error_tables(process: orm.ProcessNode) -> list[Table]:
    """Return the errors on held-out frames, the accounts of labels, and the checks of a student, where available."""
    return [errors_table(error_results(process)), accounts_table(batches(process)), *acceptance_tables(process)]


def evaluation_tables(process: orm.ProcessNode) -> list[Table]:
    """Return the errors of one evaluation."""
    return [errors_table(sorted(output_dict(process, 'results').items()), 'Errors')]


def active_learning_tables(process: orm.ProcessNode) -> list[Table]:
    """Return the iterations, the accounts, and the reasons for frames without labels."""
    return [iterations_table(latest_iterations(call_tree(process.pk))), *label_tables(process)]


def active_learning_plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the iterations, the learning curves and the labelled frames."""
    path = directory / 'iterations.png'
    plot_iterations(path, latest_iterations(call_tree(process.pk)).get('iterations', []))
    return [path, *learning_plots(process, directory), *label_plots(process, directory)]


def exploration_tables(process: orm.ProcessNode) -> list[Table]:
    """Return the number of sampled frames of each run and their classification by the committee."""
    statistics = output_dict(process, 'statistics')
    names = (
        'structure',
        'temperature',
        'pressure',
        'sampled',
        'accurate',
        'candidate',
        'failed',
        'chosen',
        'last_step',
    )
    runs = statistics.get('runs', {})
    rows = [(label, *(run.get(name) for name in names)) for label, run in sorted(runs.items())]
    plain = {key: value for key, value in statistics.items() if key != 'runs'}
    return [Table('Runs', ('run', *names), rows), values_table('Exploration', plain)]


def dynamics_plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the thermodynamic quantities and the deviation of a committee against the step."""
    series: dict[str, tuple[Any, Any]] = {}
    for label, names in THERMO.items():
        data = output(process, label)
        if not isinstance(data, orm.ArrayData):
            continue
        arrays = {name.lower(): np.asarray(data.get_array(name), dtype=float) for name in data.get_arraynames()}
        for name, title in names.items():
            steps = arrays.get('steps', arrays.get('step'))
            if name in arrays and steps is not None:
                series[title] = (steps, arrays[name])
    path = directory / 'dynamics.png'
    plot_dynamics(path, series, 'step')
    return [path]


#: Quantities drawn for molecular dynamics: array and axis label by output.
THERMO = {
    'thermo': {
        'temperature_k': '$T$  (K)',
        'potential_energy_ev': 'energy  (eV)',
        'pressure_gpa': '$p$  (GPa)',
        'volume_a3': '$V$  (Å$^3$)',
        'framework_displacement_a': 'framework  (Å)',
    },
    'deviation': {'max_devi_f': 'deviation  (eV Å$^{-1}$)'},
}


def conductivity_tables(process: orm.ProcessNode) -> list[Table]:
    """Return transport by temperature and the Arrhenius fit."""
    found = read_conductivity(process)
    return [] if found is None else found.tables()


def conductivity_plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the Arrhenius plot, the displacements and, if available, the van Hove maps."""
    found = read_conductivity(process)
    if found is None:
        return []
    arrhenius, msd = directory / 'arrhenius.png', directory / 'msd.png'
    plot_arrhenius(arrhenius, **found.arrhenius_plot())
    plot_msd(msd, found.curves)
    if not found.maps:
        return [arrhenius, msd]
    maps = directory / 'van_hove.png'
    plot_van_hove(maps, found.maps)
    return [arrhenius, msd, maps]


def transport_plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the van Hove maps of one run."""
    statistics = output(process, 'statistics')
    maps = read_maps(statistics, [None], suffix='') if isinstance(statistics, orm.ArrayData) else []
    if not maps:
        return []
    path = directory / 'van_hove.png'
    plot_van_hove(path, maps)
    return [path]


def simplify_tables(process: orm.ProcessNode) -> list[Table]:
    """Return the iterations of a simplification."""
    names = ('iteration', 'frames', 'sampled', 'accurate', 'candidate', 'failed', 'accurate_fraction')
    rows = output_dict(process, 'iterations').get('iterations', [])
    return [Table('Simplification', names, [tuple(row.get(name) for name in names) for row in rows])]


#: Reports of all processes by entry point; a test checks that the registry is complete.
REPORTS: dict[str, Report] = {
    'dpasse.acceptance': Report(outcome.acceptance, acceptance_tables, no_plots),
    'dpasse.active_learning': Report(outcome.active_learning, active_learning_tables, active_learning_plots),
    'dpasse.committee': Report(outcome.committee, no_tables, learning_plots),
    'dpasse.conductivity': Report(outcome.conductivity, conductivity_tables, conductivity_plots),
    'dpasse.convergence': Report(outcome.convergence, convergence_tables, convergence_plots),
    'dpasse.distill': Report(outcome.distillation, error_tables, learning_plots),
    'dpasse.electrolyte': Report(outcome.electrolyte, electrolyte_tables, electrolyte_plots),
    'dpasse.evaluate': Report(outcome.evaluation, evaluation_tables, no_plots),
    'dpasse.evaluate.base': Report(outcome.evaluation, evaluation_tables, no_plots),
    'dpasse.explore': Report(outcome.exploration, exploration_tables, no_plots),
    'dpasse.finetune': Report(outcome.errors, error_tables, learning_plots),
    'dpasse.finetune_study': Report(outcome.sample_efficiency, efficiency_tables, efficiency_plots),
    'dpasse.freeze': Report(outcome.potential, no_tables, no_plots),
    'dpasse.freeze.base': Report(outcome.potential, no_tables, no_plots),
    'dpasse.initial_data': Report(outcome.labels, label_tables, label_plots),
    'dpasse.label': Report(outcome.labels, label_tables, label_plots),
    'dpasse.label.job': Report(outcome.labels, label_tables, label_plots),
    **{f'{PREFIX}{source}': Report(outcome.labels, label_tables, label_plots) for source in source_names()},
    'dpasse.locality': Report(outcome.locality, locality_tables, locality_plots),
    'dpasse.md': Report(outcome.dynamics, no_tables, dynamics_plots),
    'dpasse.md.ase': Report(outcome.dynamics, no_tables, dynamics_plots),
    'dpasse.md.ase.base': Report(outcome.dynamics, no_tables, dynamics_plots),
    'dpasse.md.base': Report(outcome.dynamics, no_tables, dynamics_plots),
    'dpasse.migrate': Report(outcome.potential, no_tables, no_plots),
    'dpasse.migrate.base': Report(outcome.potential, no_tables, no_plots),
    'dpasse.model_study': Report(outcome.model_study, model_study_tables, model_study_plots),
    'dpasse.pretrain': Report(outcome.errors, error_tables, learning_plots),
    'dpasse.simplify': Report(outcome.simplification, simplify_tables, no_plots),
    'dpasse.speed': Report(outcome.speed, speed_tables, speed_plots),
    'dpasse.test_sets': Report(outcome.labels, sets_tables, sets_plots),
    'dpasse.train': Report(outcome.training, no_tables, learning_plots),
    'dpasse.train.base': Report(outcome.training, no_tables, learning_plots),
    'dpasse.transport': Report(outcome.statistics, no_tables, transport_plots),
    'dpasse.transport.base': Report(outcome.statistics, no_tables, transport_plots),
    'dpasse.validate': Report(outcome.validation, validation_tables, validation_plots),
}
