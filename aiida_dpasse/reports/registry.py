"""Find the report of a process: a module beside the process, loaded by name as AiiDA loads a plugin.

Such a module, for example `distill/acceptance_report.py`, defines some of three functions: `lines(process)` returns
short lines of text for the progress display and the diagram of a study, `tables(process)` returns tables, and
`plots(process, directory)` writes pictures and returns their paths. The first two return empty lists or tables for a
process without results.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from aiida import orm

from aiida_dpasse.reports.broken import drawn, lines_of, tables_of
from aiida_dpasse.reports.graph import entry_point, output_dict
from aiida_dpasse.reports.tables import Table, values_table

#: Module of each report, by the second part of the entry point: `label` for `dpasse.label` and `dpasse.label.vasp`. A
#: job, the chain that restarts it and the sources of labels have the same outputs.
REPORTS = {
    'acceptance': 'distill.acceptance_report',
    'active_learning': 'explore.active_learning_report',
    'benchmark': 'assess.benchmark_report',
    'committee': 'explore.committee_report',
    'conductivity': 'dynamics.conductivity_report',
    'convergence': 'dynamics.convergence_report',
    'distill': 'distill.distill_report',
    'electrolyte': 'study.electrolyte_report',
    'evaluate': 'assess.evaluate_report',
    'explore': 'explore.explore_report',
    'finetune': 'train.held_out_report',
    'learning_curve': 'train.learning_curve_report',
    'freeze': 'train.potential_report',
    'initial_data': 'label.label_report',
    'label': 'label.label_report',
    'locality': 'assess.locality_report',
    'md': 'dynamics.md_report',
    'migrate': 'train.potential_report',
    'model_study': 'assess.model_study_report',
    'passport': 'assess.passport_report',
    'pretrain': 'train.held_out_report',
    'scan': 'screen.scan_report',
    'screen': 'screen.screen_report',
    'simplify': 'explore.simplify_report',
    'test_sets': 'assess.test_sets_report',
    'train': 'train.train_report',
    'transport': 'dynamics.transport_report',
    'validate': 'assess.validate_report',
}


def _no_lines(process: orm.ProcessNode) -> list[str]:
    return []


def _results(process: orm.ProcessNode) -> list[Table]:
    results = output_dict(process, 'results')
    return [values_table('Results', results)] if results else []


def _no_plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    return []


class Report(NamedTuple):
    """The three functions of a report; by default, the table of the scalar results."""

    lines: Callable[[orm.ProcessNode], list[str]] = _no_lines
    tables: Callable[[orm.ProcessNode], list[Table]] = _results
    plots: Callable[[orm.ProcessNode, Path], list[Path]] = _no_plots


def report_of(process: orm.ProcessNode) -> Report:
    """Return the report of a process, the default one for processes of other plugins.

    :param process: any process.
    """
    package, _, name = entry_point(process).partition('.')
    module = REPORTS.get(name.partition('.')[0]) if package == 'dpasse' else None
    found = vars(import_module(f'aiida_dpasse.{module}')) if module else {}
    return Report(**{field: found[field] for field in Report._fields if field in found})


def outcome(process: orm.ProcessNode) -> list[str]:
    """Return the results of a process in short lines, empty without results; a sentence if its nodes are damaged.

    :param process: any process.
    """
    return lines_of(process, lambda: report_of(process).lines(process))


def tables_in(process: orm.ProcessNode) -> list[Table]:
    """Return the tables of a process; a sentence if its nodes are damaged.

    :param process: any process.
    """
    return tables_of(process, lambda: report_of(process).tables(process))


def pictures_in(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Write the pictures of a process; one that says why if its nodes are damaged.

    :param process: any process.
    :param directory: folder of the pictures, which is empty.
    """
    found: list[Path] = []
    drawn(directory / 'pictures.png', lambda _: found.extend(report_of(process).plots(process, directory)))
    return found or sorted(directory.iterdir())
