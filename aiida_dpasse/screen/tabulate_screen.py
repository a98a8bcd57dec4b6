"""Rank the structures of a screening by their landscapes, and add what molecular dynamics found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.runs import Runs

#: Values of a scan that the ranking repeats.
VALUES = (
    'xi',
    'fv_conn',
    'fv_disc',
    'mpe_eV',
    'percolation_1d_eV',
    'percolation_2d_eV',
    'percolation_3d_eV',
    'highest_level_eV',
    'atoms',
    'ions',
    'scanned_ions',
    'unrelated_ions',
    'energies',
    'energies_of_all_voxels',
    'cpu_s',
)
#: Elements that are anions in the compounds of lithium; others count if there is none of these.
ANIONS, OTHER_ANIONS = ('N', 'O', 'F', 'S', 'Cl', 'Se', 'Br', 'Te', 'I'), ('H', 'C', 'P', 'As', 'Sb')
NOT_SCANNED = 'the scan failed: see the process with this link label'


@calcfunction
def tabulate_screen(runs: orm.Dict, **inputs: Any) -> orm.Dict:
    """Rank the structures by Xi, then by the free volumes, which still differ where Xi is 0 or 1.

    :param runs: record of each scan, by its id.
    :param inputs: ``structures`` by label, and ``results`` of the successful scans by the id of the run.
    :return: ``rows`` with their ``rank``, the ``structure``, its ``formula`` and ``volume_per_anion_A3``, and the
        values of the scan; and ``failed``, the structures without a scan. Each structure is in one of the two.
    """
    structures, results = inputs['structures'], inputs.get('results', {})
    rows, failed = [], []
    for key, run in Runs.from_dict(runs.get_dict()).items():
        structure = structures[run.structure]
        name = {'run': key, 'structure': run.structure, 'formula': structure.get_pymatgen().composition.reduced_formula}
        if key not in results:
            failed.append({**name, 'reason': NOT_SCANNED})
            continue
        found = results[key].get_dict()
        rows.append({**name, 'volume_per_anion_A3': volume_per_anion(structure), **{key: found[key] for key in VALUES}})
    rows.sort(key=lambda row: tuple(-row[name] for name in ('xi', 'fv_conn', 'fv_disc')))
    return orm.Dict({'rows': [{'rank': rank, **row} for rank, row in enumerate(rows, 1)], 'failed': failed})


@calcfunction
def tabulate_top(ranking: orm.Dict, **inputs: Any) -> orm.Dict:
    """Return the conductivities of the structures at the top of the ranking.

    :param ranking: output of :func:`tabulate_screen`.
    :param inputs: ``arrhenius``, outputs of `dpasse.conductivity` by the label of the structure.
    :return: ``rows`` in the order of the ranking.
    """
    names = ('activation_energy_eV', 'activation_energy_error_eV', 'conductivity_mS_cm', 'interval_mS_cm', 'reason')
    found = {label: node.get_dict() for label, node in inputs['arrhenius'].items()}
    rows = [
        {
            **{name: row[name] for name in ('rank', 'structure', 'formula', 'xi')},
            **{name: found[row['structure']].get(name) for name in names},
        }
        for row in ranking['rows']
        if row['structure'] in found
    ]
    return orm.Dict({'rows': rows})


def volume_per_anion(structure: orm.StructureData) -> float | None:
    """Return the volume in A^3 for each anion, None if the structure has none.

    :param structure: an ordered crystal.
    """
    amounts: Mapping[str, float] = structure.get_pymatgen().composition.get_el_amt_dict()
    count = sum(amounts.get(element, 0) for element in ANIONS)
    count = count or sum(amounts.get(element, 0) for element in OTHER_ANIONS)
    return float(structure.get_cell_volume() / count) if count else None
