"""What came out of a step, in short lines, for the progress display, the tables and the picture of the chain."""

from __future__ import annotations

from collections.abc import Callable

from aiida import orm

from aiida_dpasse.reports.graph import entry_point, output, output_dict
from aiida_dpasse.reports.read import ERROR_KEYS, error_results
from aiida_dpasse.reports.tables import text
from aiida_dpasse.reports.transport import read_conductivity


def outcome(process: orm.ProcessNode) -> list[str]:
    """Return what ``process`` gave, empty for processes that are not ours or gave nothing."""
    reader = READERS.get(entry_point(process))
    return reader(process) if reader is not None else []


def labels(process: orm.ProcessNode) -> list[str]:
    """Return how many labels were asked for and what became of them."""
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
    """Return the errors of each potential that was tested."""
    return [
        f'{name}: {text(values[ERROR_KEYS[0]])} meV/atom, {text(values[ERROR_KEYS[1]])} meV/Å'
        for name, values in error_results(process)
        if values.get(ERROR_KEYS[0]) is not None
    ]


def distillation(process: orm.ProcessNode) -> list[str]:
    """Return labels, errors and the gain in speed."""
    speed = output_dict(process, 'speed').get('ratio')
    faster = [f'{text(float(speed))} times faster than its teacher'] if speed else []
    # Reference labels tell more than the teacher's own.
    found = sorted(errors(process), key=lambda line: 'against teacher' in line)
    return [*labels(process), *faster, *found]


def committee(process: orm.ProcessNode) -> list[str]:
    """Return the number of members."""
    members = [label for label, _ in _namespace(process, 'potentials')]
    return [f'{len(members)} members'] if members else []


def exploration(process: orm.ProcessNode) -> list[str]:
    """Return how many frames were sampled and how the committee judged them."""
    counts = output_dict(process, 'statistics')
    if not counts:
        return []
    judged = ', '.join(f'{counts[key]} {key}' for key in ('accurate', 'candidate', 'failed'))
    return [f'{counts["sampled"]} frames sampled: {judged}']


def conductivity(process: orm.ProcessNode) -> list[str]:
    """Return the conductivity with its interval and the activation energy, or why there is none."""
    found = read_conductivity(process)
    return [] if found is None else found.lines()


def _namespace(process: orm.ProcessNode, name: str) -> list[tuple[str, orm.Data]]:
    links = process.base.links.get_outgoing(node_class=orm.Data).all()
    return [(link.link_label, link.node) for link in links if link.link_label.startswith(f'{name}__')]


def dynamics(process: orm.ProcessNode) -> list[str]:
    """Return the steps done and the speed of a molecular dynamics."""
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
    """Return how many frames are enough for each model."""
    return [f'{row["model"]}: {row["reason"]}' for row in output_dict(process, 'model_study').get('enough', [])]


def speed(process: orm.ProcessNode) -> list[str]:
    """Return the speed of each potential in the largest cell that ran, and what gave none."""
    found = output_dict(process, 'speed')
    largest = {row['potential']: row for row in found.get('rows', [])}
    lines = [f'{label}: {text(row["katom_step_s"])} katom-step/s' for label, row in largest.items()]
    failed = [f'{row["potential"]}: {row["atoms"]} atoms failed' for row in found.get('failed', [])]
    return [*lines, *failed]


READERS: dict[str, Callable[[orm.ProcessNode], list[str]]] = {
    'dpasse.active_learning': active_learning,
    'dpasse.committee': committee,
    'dpasse.conductivity': conductivity,
    'dpasse.distill': distillation,
    'dpasse.explore': exploration,
    'dpasse.finetune': errors,
    'dpasse.initial_data': labels,
    'dpasse.label': labels,
    'dpasse.label.cp2k': labels,
    'dpasse.label.shell': labels,
    'dpasse.label.vasp': labels,
    'dpasse.locality': locality,
    'dpasse.md': dynamics,
    'dpasse.md.base': dynamics,
    'dpasse.model_study': model_study,
    'dpasse.pretrain': errors,
    'dpasse.speed': speed,
    'dpasse.test_sets': labels,
    'dpasse.validate': validation,
}
