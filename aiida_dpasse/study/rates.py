"""Core-seconds per unit of work that finished jobs of the profile took, with which the work of a chain is estimated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from aiida import orm

from aiida_dpasse.study.expected_work import Kind, Work, descriptor_of, evaluations_per_step

#: Number of the latest finished jobs of a program that are considered.
LATEST = 50
#: Core-seconds of a label per atom, measured on one core of an Intel Xeon with cells of 52 atoms.
CALCULATORS = {'sevennet-l3i5': 0.72 / 52, 'sevennet-0': 0.27 / 52, 'chgnet': 0.10 / 52}
#: What the training adds to a descriptor, and what does not change its speed.
IGNORED = ('seed', 'type_map', 'ntypes')


@dataclass(frozen=True)
class Rate:
    """Core-seconds per unit of work in one finished job."""

    program: str
    kind: Kind
    unit: str
    core_seconds: float

    def measures(self, work: Work) -> bool:
        """Whether the job is of the same kind as a piece of work.

        :param work: the work.
        """
        return (self.program, self.unit) == (work.program, work.unit) and agrees(work.kind, self.kind)


def agrees(wanted: Any, found: Any) -> bool:
    """Whether every setting of a descriptor is that of another, which may have more, such as defaults.

    :param wanted: the descriptor, or a name.
    :param found: the other.

    >>> agrees({'type': 'dpa2', 'repinit': {'rcut': 6.0}}, {'type': 'dpa2', 'repinit': {'rcut': 6.0, 'nsel': 80}})
    True
    >>> agrees({'type': 'dpa2', 'nlayers': 12}, {'type': 'dpa2', 'nlayers': 2}), agrees('emt', 'chgnet')
    (False, False)
    """
    if not isinstance(wanted, Mapping) or not isinstance(found, Mapping):
        return bool(wanted == found and wanted)
    return all(_agree(value, found[name]) for name, value in wanted.items() if name in found and name not in IGNORED)


def _agree(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping):
        return agrees(wanted, found)
    # `sel: auto` is a number in a trained potential.
    return wanted == found or str(wanted).startswith('auto')


def measured_rates(computer: str) -> list[Rate]:
    """Return the rates of the latest finished jobs.

    :param computer: label of the computer on which the jobs ran.
    """
    found = []
    for node in _finished('dpasse.md', computer):
        loops, potentials = node.outputs.results['loops'], node.inputs.potentials
        first, evaluations = potentials[min(potentials)], evaluations_per_step(node.inputs.parameters, len(potentials))
        amount = evaluations * sum(loop['atoms'] * loop['steps'] for loop in loops)
        spent = sum(loop['seconds'] * loop['processes'] * (loop['threads'] or 1) for loop in loops)
        found.append(Rate('lmp', descriptor_of(first), 'atom-steps', spent / max(amount, 1)))
    for node in _finished('dpasse.train', computer):
        kind = node.inputs.parameters['input'].get('model', {}).get('descriptor', '')
        pace = node.outputs.results['seconds_per_step'] or 0.0
        found.append(Rate('dp', kind, 'steps', pace * cores(node)))
    for node in _finished('dpasse.label', computer):
        parameters = node.inputs.parameters
        if parameters.get('relaxation') is not None:
            continue  # the number of its steps is not known
        calculator = 'calculator' in node.inputs
        kind = node.inputs.calculator['name'] if calculator else descriptor_of(node.inputs.potential)
        evaluations = 1 + (parameters.get('dynamics') or {}).get('steps', 0)
        found.append(
            Rate('python', kind, 'atom-labels', seconds(node) * cores(node) / (evaluations * node.inputs.frames.atoms))
        )
    return [rate for rate in found if rate.core_seconds > 0]


def core_hours(work: Work, rates: Iterable[Rate]) -> float | None:
    """Return the core-hours of a piece of work, None if nothing comparable has been measured.

    :param work: the work.
    :param rates: of `measured_rates`; their median is taken.
    """
    if not work.unit:
        return 0.0
    measured = [rate.core_seconds for rate in rates if rate.measures(work)]
    if not measured and isinstance(work.kind, str) and work.kind in CALCULATORS:
        measured = [CALCULATORS[work.kind]]
    return median(measured) * work.amount / 3600 if measured else None


def cores(node: orm.CalcJobNode) -> int:
    """Return the number of cores that a job requested.

    :param node: the job.
    """
    resources: Mapping[str, Any] = node.get_option('resources') or {}
    processes = resources.get('tot_num_mpiprocs') or resources.get('num_machines', 1) * (
        resources.get('num_mpiprocs_per_machine') or 1
    )
    return int(processes * (resources.get('num_cores_per_mpiproc') or 1))


def seconds(node: orm.CalcJobNode) -> float:
    """Return the wall time of a job in s, that of AiiDA's process if the scheduler does not give it.

    :param node: the job.
    """
    info = node.get_last_job_info()
    spent = None if info is None else info.wallclock_time_seconds
    return float(spent) if spent else (node.mtime - node.ctime).total_seconds()


def _finished(kind: str, computer: str) -> list[orm.CalcJobNode]:
    query = orm.QueryBuilder().append(orm.Computer, filters={'label': computer}, tag='computer')
    done = {'process_type': f'aiida.calculations:{kind}', 'attributes.exit_status': 0}
    query.append(orm.CalcJobNode, with_computer='computer', filters=done, tag='job')
    return query.order_by({'job': {'id': 'desc'}}).limit(LATEST).all(flat=True)
