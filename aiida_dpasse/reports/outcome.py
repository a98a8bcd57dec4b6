"""Short summaries of the results of a process, for the progress display, the tables and the diagram.

Each function takes a process and returns lines of text, which are empty if the process has no results.
"""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.reports.graph import entry_point, output, output_dict
from aiida_dpasse.reports.read import ERROR_KEYS, error_results
from aiida_dpasse.reports.tables import text
from aiida_dpasse.reports.transport import read_conductivity


def outcome(process: orm.ProcessNode) -> list[str]:
    """Return the results of ``process`` in short lines, empty for other processes and for those without results."""
    # Imported here to avoid a cycle: the reports of complete studies show the lines of their phases.
    from aiida_dpasse.reports.report import REPORTS

    report = REPORTS.get(entry_point(process))
    return report.lines(process) if report is not None else []


def no_lines(process: orm.ProcessNode) -> list[str]:
    """Return an empty list."""
    return []


def labels(process: orm.ProcessNode) -> list[str]:
    """Return the numbers of requested, admitted, rejected and failed labels."""
    account = output_dict(process, 'account')
    if not account:
        return []
    line = f'{account["admitted"]} of {account["requested"]} frames labelled'
    parts = [f'{len(account[key])} {key}' for key in ('rejected', 'failed') if account[key]]
    return [', '.join([line, *parts])]


def active_learning(process: orm.ProcessNode) -> list[str]:
    """Return the number of iterations, the labels and the verdict."""
    table = output_dict(process, 'iterations')
    if not table:
        return []
    count = len(table['iterations'])
    state = 'converged' if table['converged'] else 'not converged'
    return [f'{count} iteration{"s" if count != 1 else ""}, {state}', *labels(process)]


def errors(process: orm.ProcessNode) -> list[str]:
    """Return the errors of each tested potential."""
    return [
        f'{name}: {text(values[ERROR_KEYS[0]])} meV/atom, {text(values[ERROR_KEYS[1]])} meV/Å'
        for name, values in error_results(process)
        if values.get(ERROR_KEYS[0]) is not None
    ]


def distillation(process: orm.ProcessNode) -> list[str]:
    """Return labels, errors and speedup."""
    speed = output_dict(process, 'speed').get('ratio')
    faster = [f'{text(float(speed))} times faster than its teacher'] if speed else []
    # Errors on reference labels are more informative than those on labels of the teacher.
    found = sorted(errors(process), key=lambda line: 'against teacher' in line)
    return [*labels(process), *faster, *found]


def committee(process: orm.ProcessNode) -> list[str]:
    """Return the number of members."""
    members = [label for label, _ in _namespace(process, 'potentials')]
    return [f'{len(members)} members'] if members else []


def exploration(process: orm.ProcessNode) -> list[str]:
    """Return the number of sampled frames and their classification by the committee."""
    counts = output_dict(process, 'statistics')
    if not counts:
        return []
    judged = ', '.join(f'{counts[key]} {key}' for key in ('accurate', 'candidate', 'failed'))
    return [f'{counts["sampled"]} frames sampled: {judged}']


def conductivity(process: orm.ProcessNode) -> list[str]:
    """Return the conductivity with its interval and the activation energy, or the reason why it is undetermined."""
    found = read_conductivity(process)
    return [] if found is None else found.lines()


def _namespace(process: orm.ProcessNode, name: str) -> list[tuple[str, orm.Data]]:
    links = process.base.links.get_outgoing(node_class=orm.Data).all()
    return [(link.link_label, link.node) for link in links if link.link_label.startswith(f'{name}__')]


def dynamics(process: orm.ProcessNode) -> list[str]:
    """Return the completed steps and the speed of molecular dynamics."""
    results = output_dict(process, 'results')
    frames = output(process, 'frames')
    lines = []
    if 'step' in results:
        speed = results.get('katom_steps_per_s')
        pace = f', {text(float(speed))} katom-step/s' if speed else ''
        lines.append(f'{results["step"]} of {results["steps"]} steps{pace}')
    if frames is not None:
        lines.append(f'{frames.base.attributes.get("frames")} frames sampled')
    return lines


def validation(process: orm.ProcessNode) -> list[str]:
    """Return the errors of each potential on each test set."""
    return [
        f'{test["potential"]} on {test["set"]}: {text(test[ERROR_KEYS[0]])} meV/atom, {text(test[ERROR_KEYS[1]])} meV/Å'
        if test['admitted']
        else f'{test["potential"]} on {test["set"]}: nothing was predicted'
        for test in output_dict(process, 'report_card').get('tests', [])
    ]


def locality(process: orm.ProcessNode) -> list[str]:
    """Return the verdict on the cutoff."""
    found = output_dict(process, 'locality')
    return [found['verdict']] if found else []


def model_study(process: orm.ProcessNode) -> list[str]:
    """Return the sufficient number of frames for each model."""
    return [f'{row["model"]}: {row["reason"]}' for row in output_dict(process, 'model_study').get('enough', [])]


def speed(process: orm.ProcessNode) -> list[str]:
    """Return the speed of each potential in the largest successful cell, and the failures."""
    found = output_dict(process, 'speed')
    largest = {row['potential']: row for row in found.get('rows', [])}
    lines = [f'{label}: {text(row["katom_step_s"])} katom-step/s' for label, row in largest.items()]
    failed = [f'{row["potential"]}: {row["atoms"]} atoms failed' for row in found.get('failed', [])]
    return [*lines, *failed]


def acceptance(process: orm.ProcessNode) -> list[str]:
    """Return the verdict on a student."""
    found = output_dict(process, 'verdict')
    return [f'student {"accepted" if found["accepted"] else "refused"}'] if found else []


def convergence(process: orm.ProcessNode) -> list[str]:
    """Return the recommended size and length, or the reason why no size is recommended."""
    found = output_dict(process, 'convergence')
    return [found['reason']] if found.get('reason') else []


def sample_efficiency(process: orm.ProcessNode) -> list[str]:
    """Return the number of compared potentials and the frames saved by fine-tuning."""
    from aiida_dpasse.reports.efficiency import verdict

    found = output_dict(process, 'sample_efficiency')
    return [f'{len(found["points"])} potentials: {verdict(found)}'] if found.get('points') else []


def electrolyte(process: orm.ProcessNode) -> list[str]:
    """Return the conductivity of the study."""
    from aiida_dpasse.reports.electrolyte import conductivities

    found, _ = conductivities(process)
    return [] if found is None else found.lines()


def evaluation(process: orm.ProcessNode) -> list[str]:
    """Return the errors of each potential of one evaluation."""
    return [
        f'{name}: {text(values[ERROR_KEYS[0]])} meV/atom, {text(values[ERROR_KEYS[1]])} meV/Å'
        for name, values in sorted(output_dict(process, 'results').items())
        if isinstance(values, dict) and values.get(ERROR_KEYS[0]) is not None
    ]


def simplification(process: orm.ProcessNode) -> list[str]:
    """Return the number of kept frames and of iterations."""
    rows = output_dict(process, 'iterations').get('iterations', [])
    return [f'{len(rows)} iterations, {rows[-1]["frames"]} frames kept'] if rows else []


def training(process: orm.ProcessNode) -> list[str]:
    """Return the number of completed steps of a training."""
    results = output_dict(process, 'results')
    return [f'{results["step"]} steps trained'] if results.get('step') is not None else []


def statistics(process: orm.ProcessNode) -> list[str]:
    """Return the numbers of ions and frames of the trajectory statistics."""
    results = output_dict(process, 'results')
    return [f'{results["ions"]} ions, {results["frames"]} frames'] if 'ions' in results else []


def potential(process: orm.ProcessNode) -> list[str]:
    """Return the available forms of the potential."""
    forms = [name for name in ('checkpoint', 'frozen', 'compressed', 'potential') if output(process, name) is not None]
    return [' and '.join(forms)] if forms else []
