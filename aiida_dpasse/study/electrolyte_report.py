"""The report of a complete study: its numbers, plots and diagram."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_dpasse.dynamics.conductivity_report import Conductivity, read_conductivity
from aiida_dpasse.label.passport import quality_of
from aiida_dpasse.reports.accounting import LABEL, batches
from aiida_dpasse.reports.arrhenius_plot import plot_arrhenius
from aiida_dpasse.reports.broken import drawn, lines_of, tables_of
from aiida_dpasse.reports.cause import cause
from aiida_dpasse.reports.chain import chain_svg, pretty
from aiida_dpasse.reports.graph import Call, call_tree, inputs, last_child, output_dict
from aiida_dpasse.reports.learning import plot_learning
from aiida_dpasse.reports.msd import plot_msd
from aiida_dpasse.reports.read import bars, error_results, trainings
from aiida_dpasse.reports.registry import outcome
from aiida_dpasse.reports.tables import Table, accounts_table, errors_table, iterations_table
from aiida_dpasse.reports.timing import phase_times
from aiida_dpasse.runs import Run
from aiida_dpasse.study.tabulate_repairs import repair_label

#: Keys that `summary.json` always contains; None if the phase did not run.
KEYS = (
    'conductivity_300K_mS_cm',
    'conductivity_300K_interval_mS_cm',
    'conductivity_kind',
    'conductivity_reason',
    'extrapolated',
    'activation_energy_eV',
    'activation_energy_error_eV',
    'measured_mS_cm',
    'measured_sources',
    'measured_overlap',
    'temperatures',
    'frames_labelled',
    'frames_rejected',
    'label_quality',
    'label_passport',
    'iterations',
    'teacher_mae_energy_meV_atom',
    'teacher_mae_force_meV_A',
    'student_mae_energy_meV_atom',
    'student_mae_force_meV_A',
    'speedup_student_over_teacher',
    'finetune',
    'production_accepted',
    'production_frames_labelled',
    'production_force_rms_meV_A',
    'production_force_relative_error',
    'repair_rounds',
    'repaired',
    'repair_reason',
    'seed',
)
#: Columns of the table of repairs.
REPAIRS = {
    'round': 'round',
    'cause': 'cause',
    'visited': 'visited',
    'chosen': 'chosen',
    'labelled': 'labelled',
    'before': 'teacher F MAE before (meV/Å)',
    'after': 'after',
}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the conductivity of the electrolyte, the errors of the students in its dynamics, and what the labels are
    worth.

    :param process: a `dpasse.electrolyte`.
    """
    found = electrolyte_of(process)
    if found is None:
        return []
    return [
        *found.lines(),
        *lines_of(process, lambda: check_lines(process)),
        *lines_of(process, lambda: [quality_of(process)]),
    ]


def check_lines(process: orm.ProcessNode) -> list[str]:
    """Return the errors of the students on labelled frames of their dynamics, none if they were not tested.

    :param process: a `dpasse.electrolyte`.
    """
    check = output_dict(process, 'check')
    if check.get('relative_error') is None:
        return [check['reason']] if check.get('reason') else []
    wrong = max(check['force_rmse_meV_A'].values())
    return [
        f'Forces of the students in the simulated frames: wrong by {wrong:.0f} meV/Å of {check["force_rms_meV_A"]:.0f} '
        f'({check["relative_error"]:.0%}), by {check["frames"]} labels.'
    ]


def summarize(process: orm.ProcessNode) -> dict[str, Any]:
    """Return the content of the summary node, the measured conductivities, the UUID of the process and the wall time of
    each phase and in total, in s.

    :param process: a `dpasse.electrolyte`.
    """
    tree = call_tree(process.pk)
    electrolyte = electrolyte_of(process)
    measured = electrolyte and electrolyte.measured
    times = {phase.phase: round(phase.wall_s, 1) for phase in phase_times(tree)}
    return {
        **dict.fromkeys(KEYS),
        **output_dict(process, 'summary'),
        'label_quality': quality_of(process),
        **(measured.to_dict(electrolyte.at_room_temperature) if electrolyte and measured else {}),
        'exit_status': process.exit_status,
        'process_uuid': process.uuid,
        'wall_time_s': {**times, 'total': round(tree[0].seconds(), 1)},
    }


def electrolyte_of(process: orm.ProcessNode) -> Conductivity | None:
    """Return the transport results of the electrolyte, None if missing.

    :param process: a `dpasse.electrolyte`.
    """
    chain = latest(process, call_tree(process.pk), 'conductivity')
    found = chain and read_conductivity(chain)
    check = output_dict(process, 'check')
    if found and check.get('accepted') is False:
        return replace(found, arrhenius={'kind': found.arrhenius.get('kind'), 'reason': check['reason']})
    return found


def reference_of(process: orm.ProcessNode) -> Conductivity | None:
    """Return the transport results of the reference structure, None if missing.

    Measured conductivities are compared with the electrolyte only.

    :param process: a `dpasse.electrolyte`.
    """
    reference = last_child(call_tree(process.pk), 'reference')
    found = reference and read_conductivity(reference)
    return found and replace(found, measured=None)


def latest(process: orm.ProcessNode, tree: list[Call], phase: str) -> orm.ProcessNode | None:
    """Return the child of a phase, of the last repair in which it ran, or None.

    :param process: a `dpasse.electrolyte`.
    :param tree: its processes, of `call_tree`.
    :param phase: name of the phase.
    """
    repair = output_dict(process, 'repair')
    turns = range(len(repair.get('rounds', [])), 0, -1)
    labels = [*(repair_label(Run(phase, iteration=turn)) for turn in turns), phase]
    found = (last_child(tree, label) for label in labels)
    return next((child for child in found if child is not None), None)


def repairs_table(process: orm.ProcessNode) -> list[Table]:
    """Return the table of the rounds of repair, none if there were none.

    :param process: a `dpasse.electrolyte`.
    """
    table = output_dict(process, 'repair')
    rows = []
    for row in table.get('rounds', []):
        stops = [f'{stop["runs"]} runs at {stop["temperature_K"]:g} K ({stop["verdict"]})' for stop in row['stopped']]
        errors = {name: (row[name] or {}).get('force_mae_meV_A') for name in ('before', 'after')}
        # Missing in archives of earlier releases.
        wrong = 'wrong forces in the simulated frames' if row.get('wrong') else 'the student was refused'
        rows.append({**row, 'cause': ', '.join(stops) or wrong, **errors})
    title = 'Repair: all runs kept their limits' if table.get('repaired') else f'Repair: {table.get("reason")}'
    return [Table.of(title, REPAIRS, rows)] if rows else []


def phase_errors(process: orm.ProcessNode) -> list[tuple[str, dict[str, Any]]]:
    """Return the errors of all potentials by name.

    The errors are those on frames with reference labels; without such frames, the student's are those against its
    teacher.

    :param process: a `dpasse.electrolyte`.
    """
    tree = call_tree(process.pk)
    found: dict[str, dict[str, Any]] = {}
    against = output_dict(latest(process, tree, 'distill'), 'errors')
    reference = against.get('against_reference') or {}
    pretrained = last_child(tree, 'pretrain')
    if 'teacher' in reference:
        found['teacher'] = reference['teacher']
    elif pretrained is not None:
        found |= dict(error_results(pretrained))
    if 'student' in reference:
        found['student'] = reference['student']
    elif student := (against.get('against_teacher') or {}).get('student'):
        found['student, against teacher'] = student
    finetuned = last_child(tree, 'finetune')
    if finetuned is not None:
        compounds = _compounds(finetuned)
        found |= {f'{name}{compounds}': values for name, values in error_results(finetuned)}
    return list(found.items())


def _compounds(finetuned: orm.ProcessNode) -> str:
    frames = next((data for label, data in inputs(finetuned) if label == 'frames'), None)
    formulas = sorted({pretty(formula) for formula in frames.base.attributes.get('formulas')}) if frames else []
    return f', {formulas[0]}' if len(formulas) == 1 else ''


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return the tables of iterations, accounts, errors, repairs and transport.

    :param process: a `dpasse.electrolyte`.
    """
    tree = call_tree(process.pk)
    return tables_of(
        process,
        lambda: _iterations(tree),
        lambda: [_accounts(process, tree)],
        lambda: [errors_table(phase_errors(process))],
        lambda: repairs_table(process),
        lambda: _transport(electrolyte_of(process), 'electrolyte'),
        lambda: _transport(reference_of(process), 'reference'),
        # Those of the electrolyte are the lines of the report.
        lambda: _results(reference_of(process)),
    )


def _iterations(tree: list[Call]) -> list[Table]:
    learned = last_child(tree, 'active_learning')
    return [] if learned is None else [iterations_table(output_dict(learned, 'iterations'))]


def _accounts(process: orm.ProcessNode, tree: list[Call]) -> Table:
    chains = {call.pk for call in tree if call.entry_point == LABEL and not call.is_job}
    return accounts_table(batch for batch in batches(process) if batch.pk in chains)


def _transport(found: Conductivity | None, name: str) -> list[Table]:
    return [replace(table, title=f'{table.title}, {name}') for table in found.tables()] if found else []


def _results(reference: Conductivity | None) -> list[Table]:
    if reference is None:
        return []
    return [Table('Result, reference', ('conductivity',), [(line,) for line in reference.results()])]


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Write arrhenius.png, msd.png, learning.png, provenance.svg and summary.json.

    :param process: a `dpasse.electrolyte`.
    :param directory: folder of the files.
    :return: their paths.
    """
    paths = {name: directory / name for name in ('arrhenius.png', 'msd.png', 'learning.png', 'provenance.svg')}
    drawn(paths['arrhenius.png'], _draw_arrhenius, process)
    drawn(paths['msd.png'], _draw_displacements, process)
    drawn(paths['learning.png'], plot_learning, lambda: trainings(process), lambda: bars(phase_errors(process)))
    drawn(paths['provenance.svg'], lambda path: path.write_text(electrolyte_svg(process), encoding='utf8'))
    summary = directory / 'summary.json'
    try:
        numbers = summarize(process)
    except Exception as error:
        numbers = {**dict.fromkeys(KEYS), 'process_uuid': process.uuid, 'damaged': cause(error)}
    summary.write_text(json.dumps(numbers, indent=2, ensure_ascii=False) + '\n', encoding='utf8')
    return [summary, *paths.values()]


def _draw_arrhenius(path: Path, process: orm.ProcessNode) -> None:
    electrolyte = electrolyte_of(process)
    plot_arrhenius(path, **(electrolyte.arrhenius_plot(_electrolyte(process)) if electrolyte else {'points': []}))


def _draw_displacements(path: Path, process: orm.ProcessNode) -> None:
    curves, others = (found.curves if found else [] for found in (electrolyte_of(process), reference_of(process)))
    plot_msd(path, curves, others, 'reference')


def _electrolyte(process: orm.ProcessNode) -> str:
    # `conductor` is the name in archives of the first version.
    crystals: Mapping[str, orm.StructureData] = {}
    for port in ('conductor', 'electrolyte'):
        if port in process.inputs:
            crystals = process.inputs[port]
    formulas = {pretty(crystal.get_formula()) for crystal in crystals.values()}
    return ', '.join(sorted(formulas))


def electrolyte_svg(process: orm.ProcessNode) -> str:
    """Return the diagram of the study, with the results of each phase.

    :param process: a `dpasse.electrolyte`.
    """
    tree = call_tree(process.pk)
    electrolyte, reference = electrolyte_of(process), reference_of(process)
    last = latest(process, tree, 'conductivity')
    produced = {call.pk: call.label for call in tree}.get(last.pk, '') if last is not None else 'conductivity'
    found = {produced: electrolyte, 'reference': reference}
    results = {phase: transport.caption() for phase, transport in found.items() if transport is not None}
    phases = (phase for phase in phase_times(tree) if phase.phase not in found)
    captions = {phase.phase: outcome(orm.load_node(phase.pk))[:3] for phase in phases}
    formula = _electrolyte(process)
    heading = f'{formula}: from structures to a conductivity' if formula else ''
    return chain_svg(process, heading, captions, results)
