"""The speed of potentials and calculators by number of atoms."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.plan_benchmark import PORTS
from aiida_dpasse.lammps.speed import (
    BUSY,
    MACHINE_FILE,
    power_law,
    production_loop,
    rates,
    read_machine,
    saturation,
    why_no_speed,
)
from aiida_dpasse.runs import Runs

ERRORS_FILE = '_scheduler-stderr.txt'


@calcfunction
def tabulate_benchmark(table: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Data]) -> orm.Dict:
    """Tabulate the speed of all potentials and calculators.

    A row holds the record of its run, the known properties of the potential, the cell, the loop time of the production
    run with the resulting rates, the processor load (``disturbed`` if processors were idle) and the machine. A fit
    holds, for each potential, the ``exponent`` b of time per step ~ atoms^b with its error, and the result of
    :func:`saturation`.

    :param table: output ``table`` of :func:`plan_benchmark`.
    :param runs: record of each run, by its id.
    :param inputs: ``potentials`` and ``calculators`` by label; ``results`` of `dpasse.md` or `dpasse.md.ase` and
        ``retrieved`` by run. Sizes after the first one without a speed count as skipped for that potential.
    :return: ``rows``, one for each successful run; ``failed`` and ``skipped``, each with a ``reason``; and ``fits``.
    """
    rows: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    planned = Runs.from_dict(runs.get_dict())
    for key, run in planned.items():
        label = run.potential
        cell = {**run.to_dict(), **table['sizes'][run.size]}
        before = next((row['atoms'] for row in failed if row['potential'] == label), None)
        if before is not None:
            skipped.append({**cell, 'reason': f'the run with {before} atoms failed'})
            continue
        results, folder = (inputs.get(name, {}).get(key) for name in ('results', 'retrieved'))
        found = None if results is None else results.get_dict()
        loop = None if found is None else production_loop(found)
        if loop is None:
            failed.append({**cell, 'reason': why_no_speed(found, _content(folder, ERRORS_FILE))})
            continue
        busy, machine = loop['cpu_percent'], read_machine(_content(folder, MACHINE_FILE))
        rows.append(
            {
                **cell,
                **_model(inputs[PORTS[run.what]][str(label)]),
                **{name: loop[name] for name in ('steps', 'seconds', 'processes', 'threads', 'cpu_percent')},
                **rates(loop['atoms'], loop['steps'], loop['seconds'], table['timestep']),
                # With a GPU, a processor may be idle for a legitimate reason.
                'disturbed': None if busy is None or machine['card'] else busy < BUSY,
                **machine,
            }
        )
    labels = dict.fromkeys(str(run.potential) for run in planned.values())
    fits = [_fit(label, [row for row in rows if row['potential'] == label]) for label in labels]
    return orm.Dict({'rows': rows, 'failed': failed, 'skipped': skipped, 'fits': fits})


def _content(folder: orm.FolderData | None, name: str) -> str:
    """Return the content of a retrieved file, or an empty string if it is missing."""
    if folder is None or name not in folder.base.repository.list_object_names():
        return ''
    return str(folder.base.repository.get_object_content(name, mode='rb').decode(errors='replace'))


def _model(potential: Any) -> dict[str, Any]:
    if isinstance(potential, orm.Dict):
        return {'backend': 'ASE', 'form': 'calculator', 'descriptor': potential['name']}
    return {'backend': potential.framework, 'form': potential.form, 'descriptor': potential.descriptor}


def _fit(label: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    atoms = [row['atoms'] for row in rows]
    exponent, error = power_law(atoms, [1 / row['steps_s'] for row in rows])
    found = saturation(atoms, [row['katom_step_s'] for row in rows])
    return {'potential': label, 'sizes': len(rows), 'exponent': exponent, 'exponent_error': error, **found}
