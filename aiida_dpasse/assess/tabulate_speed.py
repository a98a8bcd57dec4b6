"""The speed of potentials and calculators by the number of atoms."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.assess.plan_speed import PORTS
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
def tabulate_speed(table: orm.Dict, runs: orm.Dict, **inputs: dict[str, orm.Data]) -> orm.Dict:
    """Return ``rows``, one for each size that ran, ``failed`` and ``skipped``, each with a ``reason``, and ``fits``.

    A row holds the record of its run, what is known of the potential's file, the cell, the loop time of the production
    with the rates that follow, how busy its processors were (``disturbed`` if they waited) and the machine. A fit
    holds, of each potential, the ``exponent`` of time a step ~ atoms^b and its error, and what `saturation` says.

    :param table: of `plan_speed`.
    :param runs: the record of each run, by its id.
    :param inputs: ``potentials`` and ``calculators`` by label; by run ``results`` of `dpasse.md` or `dpasse.md.ase`,
        and ``retrieved``. Of one potential, what follows the first size without speed is taken for skipped.
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
            skipped.append({**cell, 'reason': f'{before} atoms failed already'})
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
                # Beside a card a processor may wait with good reason.
                'disturbed': None if busy is None or machine['card'] else busy < BUSY,
                **machine,
            }
        )
    labels = dict.fromkeys(str(run.potential) for run in planned.values())
    fits = [_fit(label, [row for row in rows if row['potential'] == label]) for label in labels]
    return orm.Dict({'rows': rows, 'failed': failed, 'skipped': skipped, 'fits': fits})


def _content(folder: orm.FolderData | None, name: str) -> str:
    """Return a file of what came back, empty if it did not."""
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
