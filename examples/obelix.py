"""Rank crystals of OBELiX by the landscapes of their lithium ions, and judge the ranking by their conductivities.

OBELiX (F. Therrien et al., arXiv 2502.14234, CC BY 4.0) has 599 measured conductivities and 321 CIFs. In a profile with
the codes of `aiida-dpasse setup`:

    verdi run examples/obelix.py OBELiX out/obelix --only jqc oi6 --protocol fast

Without `--only` all CIFs are screened whose ordered cells have at most `--max-atoms` atoms. Disordered crystals become
ordered cells first. When the script is started again, finished scans are taken from the cache. A screening that was
submitted in another way is judged with `--score PK`. Everything is in the group `obelix`.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.manage.caching import enable_caching

from aiida_dpasse.cli.output import say
from aiida_dpasse.frames.order_crystal import order_crystal
from aiida_dpasse.landscape.ranking import judge_ranking
from aiida_dpasse.study.run_chain import run_chain

CODES = {name: f'{name}@localhost' for name in ('python', 'lmp')}
#: Conductivity in S/cm from which a material counts as a conductor.
THRESHOLD = 1e-4
#: Scores that are judged: the descriptors, and the volume per anion, which needs no potential.
SCORES = ('xi', 'fv_conn', 'fv_disc', 'volume_per_anion_A3')
SEED = 1


def read_conductivities(dataset: Path) -> dict[str, float]:
    """Return the conductivities in S/cm by ID; one below detection is its upper bound."""
    with (dataset / 'all.csv').open() as handle:
        rows = {row['ID']: row['Ionic conductivity (S cm-1)'].lstrip('<').strip() for row in csv.DictReader(handle)}
    return {name: float(text) for name, text in rows.items() if text}


def read_structures(dataset: Path, names: list[str], max_atoms: int) -> dict[str, orm.StructureData]:
    """Return an ordered cell of each crystal by its label, and say which have none."""
    found = {}
    for name in names:
        path = dataset / 'cifs' / f'{name}.cif'
        cif = orm.SinglefileData(path.resolve(), filename=path.name)
        try:
            with enable_caching():
                cell = order_crystal(cif, orm.Dict({'seed': SEED, 'max_atoms': max_atoms}))['cell_0000']
        except ValueError as error:
            say(f'{name}: left out: {error}')
            continue
        if len(cell.sites) > max_atoms:
            say(f'{name}: left out: {len(cell.sites)} atoms')
            continue
        found[f'id_{name}'] = cell
    return found


def score(rows: list[Mapping[str, Any]], measured: Mapping[str, float], threshold: float) -> dict[str, Any]:
    """Return the area under the ROC curve of each score with its interval; None if there is only one class."""
    classes = [measured[row['structure'].removeprefix('id_')] >= threshold for row in rows]
    found: dict[str, Any] = {}
    for name in SCORES:
        known = [(row[name], positive) for row, positive in zip(rows, classes, strict=True) if row[name] is not None]
        both = len({positive for _, positive in known}) == 2
        found[name] = asdict(judge_ranking(*zip(*known, strict=True), seed=SEED)) if both else None
    return found


def report(rows: list[Mapping[str, Any]], measured: Mapping[str, float], threshold: float, directory: Path) -> None:
    """Print the ranking beside the conductivities, and the areas; write both as JSON."""
    for row in rows:
        name = row['structure'].removeprefix('id_')
        say(f'{row["rank"]:4d}  {name}  {row["formula"]:24s} Xi = {row["xi"]:.3f}  sigma = {measured[name]:.2e} S/cm')
    areas = score(rows, measured, threshold)
    for name, area in areas.items():
        text = 'one class only' if area is None else f'{area["auc"]:.3f} ({area["low"]:.3f} to {area["high"]:.3f})'
        say(f'ROC AUC of {name}, sigma >= {threshold:g} S/cm: {text}')
    directory.mkdir(parents=True, exist_ok=True)
    (directory / 'scores.json').write_text(json.dumps({'rows': rows, 'areas': areas, 'threshold': threshold}, indent=1))


def main(
    dataset: Path, directory: Path, only: list[str], max_atoms: int, protocol: str, threshold: float, **inputs: Any
) -> orm.WorkChainNode:
    """Screen crystals and judge the ranking."""
    measured = read_conductivities(dataset)
    names = only or sorted(path.stem for path in (dataset / 'cifs').glob('*.cif') if path.stem in measured)
    group, _ = orm.Group.collection.get_or_create('obelix')
    structures = read_structures(dataset, names, max_atoms)
    codes = {name: CODES[name] for name in ('python',)}
    node = run_chain('screen', codes, directory, group, protocol, structures=structures, **inputs)
    if 'ranking' in node.outputs:
        report(node.outputs.ranking['rows'], measured, threshold, directory)
    return node


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dataset', type=Path, help='Folder of OBELiX.')
    parser.add_argument('directory', type=Path, help='Folder of the results.')
    parser.add_argument('--only', nargs='+', default=[], metavar='ID', help='Crystals to screen.')
    parser.add_argument('--max-atoms', type=int, default=100)
    parser.add_argument('--protocol', default='fast')
    parser.add_argument('--calculator', default='chgnet')
    parser.add_argument('--threshold', type=float, default=THRESHOLD, help='Conductivity of a conductor, S/cm.')
    parser.add_argument('--score', type=int, metavar='PK', help='Judge this screening instead of running one.')
    given = parser.parse_args()
    if given.score is not None:
        ranked = orm.load_node(given.score).outputs.ranking['rows']
        report(ranked, read_conductivities(given.dataset), given.threshold, given.directory)
    else:
        main(
            given.dataset,
            given.directory,
            given.only,
            given.max_atoms,
            given.protocol,
            given.threshold,
            calculator=orm.Dict({'name': given.calculator}),
        )
