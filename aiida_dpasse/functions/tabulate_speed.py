"""The speed of potentials by the number of atoms."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

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

ERRORS_FILE = '_scheduler-stderr.txt'


@calcfunction
def tabulate_speed(table: orm.Dict, **nodes: orm.Data) -> orm.Dict:
    """Return ``rows``, one for each size that ran, ``failed`` and ``skipped``, each with a ``reason``, and ``fits``.

    A row holds the potential, what is known of its file, the cell, LAMMPS' own loop time of the production with the
    rates that follow, how busy its processors were (``disturbed`` if they waited) and the machine. A fit holds, of
    each potential, the ``exponent`` of time a step ~ atoms^b and its error, and what `saturation` says.

    :param table: of `plan_speed`.
    :param nodes: ``potential_<label>``; by run ``results_<key>`` of `dpasse.md` and ``retrieved_<key>``. Of one
        potential, what follows the first size without speed is taken for skipped.
    """
    rows: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for run in table['runs']:
        key, label = run['key'], run['potential']
        cell = {name: run[name] for name in ('potential', 'atoms', 'wanted_atoms', 'supercell')}
        before = next((row['atoms'] for row in failed if row['potential'] == label), None)
        if before is not None:
            skipped.append({**cell, 'reason': f'{before} atoms failed already'})
            continue
        results, folder = nodes.get(f'results_{key}'), nodes.get(f'retrieved_{key}')
        found = None if results is None else results.get_dict()
        loop = None if found is None else production_loop(found)
        if loop is None:
            failed.append({**cell, 'reason': why_no_speed(found, _content(folder, ERRORS_FILE))})
            continue
        busy, machine = loop['cpu_percent'], read_machine(_content(folder, MACHINE_FILE))
        rows.append(
            {
                **cell,
                **_model(nodes[f'potential_{label}']),
                **{name: loop[name] for name in ('steps', 'seconds', 'processes', 'threads', 'cpu_percent')},
                **rates(loop['atoms'], loop['steps'], loop['seconds'], table['timestep']),
                # Beside a card a processor may wait with good reason.
                'disturbed': None if busy is None or machine['card'] else busy < BUSY,
                **machine,
            }
        )
    labels = dict.fromkeys(run['potential'] for run in table['runs'])
    fits = [_fit(label, [row for row in rows if row['potential'] == label]) for label in labels]
    return orm.Dict({'rows': rows, 'failed': failed, 'skipped': skipped, 'fits': fits})


def _content(folder: orm.FolderData | None, name: str) -> str:
    """Return a file of what came back, empty if it did not."""
    if folder is None or name not in folder.base.repository.list_object_names():
        return ''
    return str(folder.base.repository.get_object_content(name, mode='rb').decode(errors='replace'))


def _model(potential: Any) -> dict[str, Any]:
    return {'backend': potential.framework, 'form': potential.form, 'descriptor': potential.descriptor}


def _fit(label: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    atoms = [row['atoms'] for row in rows]
    exponent, error = power_law(atoms, [1 / row['steps_s'] for row in rows])
    found = saturation(atoms, [row['katom_step_s'] for row in rows])
    return {'potential': label, 'sizes': len(rows), 'exponent': exponent, 'exponent_error': error, **found}
