"""`aiida-dpasse density`, `sites`, `vanhove` and `rdf`: where the ions are and how they move, without AiiDA."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.digits import with_error
from aiida_dpasse.cli.output import OUTPUT, say, write_file, write_json, writes_files
from aiida_dpasse.cli.refusal import EXISTING, POSITIVE, FiniteFloat, Refusal
from aiida_dpasse.cli.trajectory import Source, masses_of, read_tracks, trajectory_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    from aiida_dpasse.transport.cages import Sites
    from aiida_dpasse.transport.occupancy import Occupancy

    Array = NDArray[np.float64]

#: Frames used for radial distributions: pairs of atoms are correlated over longer times than those of most frames.
RDF_FRAMES = 100
#: Largest number of points of a grid, which takes 0.4 GB.
LARGEST_GRID = 5e7
#: Types of options in A: a distance between ions, and the width of the bins of a distribution.
DISTANCE = FiniteFloat(min=0, max=100, min_open=True)
WIDTH = FiniteFloat(min=1e-3, max=10)

json_option = click.option('--json', 'json_path', type=OUTPUT, help='Write all numbers to this file.')
csv_option = click.option('--csv', 'csv_path', type=OUTPUT, help='Write the curves to this file.')
plot_option = click.option('--plot', 'plot_path', type=OUTPUT, help='Draw a picture (png, svg, pdf or jpg).')
ion_option = click.option('--ion', 'ions', required=True, multiple=True, help='Mobile element; repeat for several.')


@dataclass(frozen=True)
class Atoms:
    """All atoms of a trajectory, relative to the framework if there is one.

    :param symbols: (natoms,), elements.
    :param mobile: (natoms,), whether an atom is one of the ions.
    :param positions: (frames, natoms, 3) A, unwrapped, in the mean cell.
    :param cells: (frames, 3, 3) A.
    :param interval: time between frames in ps.
    """

    symbols: list[str]
    mobile: NDArray[np.bool_]
    positions: Array
    cells: Array
    interval: float

    @property
    def cell(self) -> Array:
        """Mean cell (3, 3) in A."""
        mean: Array = self.cells.mean(axis=0)
        return mean

    def framework(self) -> tuple[list[str], Array]:
        """Return elements and mean fractional coordinates (n, 3) of the immobile atoms."""
        import numpy as np

        hosts = self.positions[:, ~self.mobile].mean(axis=0) @ np.linalg.inv(self.cell)
        return [symbol for symbol, mobile in zip(self.symbols, self.mobile, strict=True) if not mobile], hosts % 1.0


def read_atoms(source: Source, ions: Sequence[str]) -> Atoms:
    """Return all atoms of a trajectory, with the drift of the framework removed.

    :param source: the trajectory.
    :param ions: elements that do not belong to the framework; empty for all.
    :raises Refusal: if the trajectory cannot be read, or holds none of an ion.
    """
    import numpy as np

    from aiida_dpasse.transport.displacement import remove_drift

    tracks, symbols, interval = read_tracks(source, ())
    for ion in ions:
        if ion not in symbols:
            raise Refusal(f'There is no {ion} in {source.name}: it holds {", ".join(sorted(set(symbols)))}.')
    mobile = np.isin(symbols, list(ions))
    positions = tracks.positions()
    if ions and not mobile.all():
        positions, _ = remove_drift(positions, masses_of(symbols), ~mobile)
    return Atoms(symbols, mobile, positions, np.array(tracks.cells), interval)


@click.command()
@trajectory_options
@ion_option
@click.option(
    '--spacing', type=POSITIVE, default=0.2, show_default=True, metavar='A', help='Distance between grid points, in A.'
)
@click.option('--cube', 'cube_path', type=OUTPUT, help='Write the density as a Gaussian cube file.')
@click.option('--chgcar', 'chgcar_path', type=OUTPUT, help='Write the density as a CHGCAR file.')
@plot_option
@json_option
@writes_files
def density(
    source: Source,
    ions: tuple[str, ...],
    spacing: float,
    cube_path: Path | None,
    chgcar_path: Path | None,
    plot_path: Path | None,
    json_path: Path | None,
) -> None:
    """Density of the ions in the cell, averaged over the trajectory in FILE.

    The framework's drift is removed, and its atoms are written and drawn at their mean positions. The picture shows the
    density projected along each lattice vector. No AiiDA profile is needed.
    """
    import numpy as np
    from ase.data import atomic_numbers

    from aiida_dpasse.transport.density import ion_density, write_chgcar, write_cube

    atoms = read_atoms(source, ions)
    points = float(np.prod(np.ceil(np.linalg.norm(atoms.cell, axis=1) / spacing)))
    if points > LARGEST_GRID:
        raise Refusal(f'--spacing {spacing:g} gives a grid of {points:.2g} points: give a larger distance in A.')
    grid = ion_density(atoms.positions[:, atoms.mobile], atoms.cell, spacing)
    hosts, sites = atoms.framework()
    unknown = sorted(set(hosts) - set(atomic_numbers))
    if unknown and (cube_path or chgcar_path):
        raise Refusal(f'{unknown[0]} is not an element: give --elements, which the file needs.')
    if cube_path is not None:
        numbers = [atomic_numbers[symbol] for symbol in hosts]
        write_file(cube_path, lambda path: write_cube(path, grid, atoms.cell, numbers, sites))
    if chgcar_path is not None:
        write_file(chgcar_path, lambda path: write_chgcar(path, grid, atoms.cell, hosts, sites))
    volume = float(abs(np.linalg.det(atoms.cell)))
    mean = atoms.mobile.sum() / volume
    answer = {
        'ions': int(atoms.mobile.sum()),
        'frames': len(atoms.positions),
        'interval_ps': atoms.interval,
        'volume_A3': volume,
        'grid': list(grid.shape),
        'mean_density_A-3': float(mean),
        'largest_density_A-3': float(grid.max()),
        'visited_fraction': float(np.mean(grid > 0)),
    }
    write_json(json_path, answer)
    say(
        _table(
            source,
            atoms,
            [
                ('ions', f'{answer["ions"]}'),
                ('grid', ' x '.join(map(str, grid.shape))),
                ('mean density', f'{mean:.4g} Å⁻³'),
                ('largest density', f'{grid.max():.4g} Å⁻³'),
                ('fraction of the cell visited', f'{answer["visited_fraction"]:.3f}'),
            ],
        )
    )
    if plot_path is not None:
        from aiida_dpasse.reports.maps_plot import plot_density

        write_file(plot_path, lambda path: plot_density(path, grid, atoms.cell, '/'.join(ions), hosts, sites))


@click.command()
@trajectory_options
@click.option('--ion', required=True, help='Mobile element.')
@click.option('--cif', 'cif_path', type=OUTPUT, help='Write sites with occupancies and the framework as a CIF.')
@click.option('--reference', type=EXISTING, help='CIF of the refined crystal, with whose sites the ions are compared.')
@csv_option
@plot_option
@json_option
@writes_files
def sites(
    source: Source,
    ion: str,
    cif_path: Path | None,
    reference: Path | None,
    csv_path: Path | None,
    plot_path: Path | None,
    json_path: Path | None,
) -> None:
    """Sites and cages of the ions in FILE, learnt from their density, with occupancies, hops and exchanges.

    Maxima of the density that no barrier separates are one site. Cages are sites that hops connect without a path
    through the crystal, or by more frequent hops than such a path needs; hops between cages are exchanges. With
    --reference, the occupancies of the sites of a refined crystal are given as well, and --cif writes that crystal with
    them. No AiiDA profile is needed.
    """
    from aiida_dpasse.transport.cages import find_cages
    from aiida_dpasse.transport.density import ion_density

    atoms = read_atoms(source, (ion,))
    positions = atoms.positions[:, atoms.mobile]
    exchanges, found = find_cages(positions, atoms.cell, atoms.interval)
    hosts, framework = atoms.framework()
    numbers = exchanges.to_dict()
    refined = None if reference is None else _compare(reference, ion, positions, atoms, hosts, framework)
    if refined is not None:
        numbers |= {'reference': [asdict(each) for each in refined.occupancies], 'elsewhere': refined.elsewhere}
    write_json(
        json_path,
        {
            **numbers,
            'ion': ion,
            'cell_A': atoms.cell.tolist(),
            'places': found.places.tolist(),
            'occupancies': found.occupancies.tolist(),
            'errors': found.errors.tolist(),
            'site_of_place': found.sites.tolist(),
            'cage_of_place': found.cages.tolist(),
            'framework': [{'element': e, 'site': s} for e, s in zip(hosts, framework.tolist(), strict=True)],
        },
    )
    if csv_path is not None:
        columns = (found.places, found.occupancies, found.errors, found.sites, found.cages)
        rows = [(index, *place, *rest) for index, (place, *rest) in enumerate(zip(*columns, strict=True))]
        _write_csv(csv_path, ('place', 'x', 'y', 'z', 'occupancy', 'error', 'site', 'cage'), rows)
    if cif_path is not None:
        structure, filled = refined.crystal(ion) if refined else _learnt(atoms.cell, ion, found, hosts, framework)
        write_file(cif_path, lambda path: _write_cif(path, structure, filled))
    rate, error = (number / (exchanges.ions * exchanges.duration) for number in (exchanges.hops, exchanges.hops**0.5))
    shown = [
        ('ions', f'{exchanges.ions}, {100 * exchanges.located:.0f} % of the time at sites'),
        ('maxima of the density', f'{len(found.places)}'),
        ('sites', f'{exchanges.sites} in {exchanges.cages} cages'),
        ('hops between sites', f'{exchanges.hops}, {rate:.3g} ± {error:.2g} per ion and ps'),
        ('exchanges between cages', f'{exchanges.exchanges}, by {exchanges.ions_exchanged} ions'),
    ]
    if refined is not None:
        shown += refined.rows()
    if not exchanges.meaningful:
        shown.append(('', 'too few hops, or no distinct sites: the cages have no meaning'))
    elif exchanges.confined:
        shown.append(('', 'no ion makes its way through the crystal'))
    say(_table(source, atoms, shown))
    if plot_path is not None:
        from aiida_dpasse.reports.maps_plot import plot_density

        grid = ion_density(positions, atoms.cell)
        marks = (found.places, found.occupancies)
        write_file(plot_path, lambda path: plot_density(path, grid, atoms.cell, ion, hosts, framework, marks))


@dataclass(frozen=True)
class Refined:
    """Occupancies of the sites of a refined crystal in a trajectory.

    :param structure: the crystal of the file.
    :param stated: occupancy in the file, by label.
    :param occupancies: those in the trajectory.
    :param elsewhere: part of the time that ions are at none of the sites.
    """

    structure: Structure
    stated: dict[str, float]
    occupancies: list[Occupancy]
    elsewhere: float

    def crystal(self, ion: str) -> tuple[Structure, list[tuple[float, float] | None]]:
        """Return the crystal with the occupancies of the trajectory, and those with their errors by site."""
        found = {each.label: (min(each.occupancy, 1.0), each.error) for each in self.occupancies}
        changed, filled = self.structure.copy(), []
        for index, site in enumerate(self.structure):
            mine = any(element.symbol == ion for element in site.species)
            filled.append(found[site.label] if mine else None)
            if mine:
                changed.replace(index, {ion: found[site.label][0]})
        return changed, filled

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of the table: name and text."""
        rows = []
        for each in self.occupancies:
            text = f'{with_error(each.occupancy, each.error)}, {self.stated[each.label]:.4g} in the CIF'
            rows.append(
                (f'occupancy of {each.label}', f'{text}; {each.sites} sites, ions {each.distance:.2f} Å away (rms)')
            )
        return [*rows, ('at none of these sites', f'{100 * self.elsewhere:.1f} % of the time')]


def _compare(path: Path, ion: str, positions: Array, atoms: Atoms, hosts: list[str], framework: Array) -> Refined:
    """Return the occupancies of the sites of a refined crystal.

    :raises Refusal: if the file is no crystal with this ion, or another than that of the trajectory.
    """
    from aiida_dpasse.structures.crystal_file import read_crystal
    from aiida_dpasse.structures.reference import place_sites
    from aiida_dpasse.transport.occupancy import site_occupancies

    try:
        crystal = read_crystal(path).structure
        places, labels = place_sites(crystal, atoms.cell, hosts, framework, ion)
    except ValueError as error:
        raise Refusal(f'{path.name}: {error}') from error
    stated = {
        site.label: sum(float(part) for element, part in site.species.items() if element.symbol == ion)
        for site in crystal
    }
    return Refined(crystal, stated, *site_occupancies(positions, atoms.cell, places, labels))


def _learnt(
    cell: Array, ion: str, found: Sites, hosts: list[str], framework: Array
) -> tuple[Structure, list[tuple[float, float] | None]]:
    """Return the maxima of the density and the framework as a crystal, and the occupancies with their errors."""
    from pymatgen.core import Structure

    filled = [
        (min(float(each), 1.0), float(error)) for each, error in zip(found.occupancies, found.errors, strict=True)
    ]
    structure = Structure(cell, [*({ion: part} for part, _ in filled), *hosts], [*found.places, *framework])
    return structure, [*filled, *([None] * len(hosts))]


def _write_cif(path: Path, structure: Structure, filled: Sequence[tuple[float, float] | None]) -> None:
    """Write a CIF with the occupancies of sites and, in parentheses, their errors in units of the last digit."""
    import warnings

    from pymatgen.io.cif import CifWriter

    with warnings.catch_warnings():
        # Labels of mixed sites are made unique below.
        warnings.filterwarnings('ignore', message='Site labels are not unique')
        writer = CifWriter(structure)
    [block] = writer.cif_file.data.values()
    texts, labels = [], []
    for index, (site, value) in enumerate(zip(structure, filled, strict=True)):
        for element, occupancy in site.species.items():
            labels.append(f'{element.symbol}{index + 1}')
            texts.append(f'{occupancy:.3f}' + (f'({round(1000 * value[1])})' if value and value[1] >= 5e-4 else ''))
    block.data['_atom_site_label'], block.data['_atom_site_occupancy'] = labels, texts
    writer.write_file(path)


@click.command()
@trajectory_options
@ion_option
@click.option('--distance', type=DISTANCE, default=10.0, show_default=True, metavar='A', help='Largest distance, in A.')
@csv_option
@plot_option
@json_option
@writes_files
def vanhove(
    source: Source,
    ions: tuple[str, ...],
    distance: float,
    csv_path: Path | None,
    plot_path: Path | None,
    json_path: Path | None,
) -> None:
    """Van Hove functions of the ions in FILE: 4πr²G_s and G_d against distance and time, and α₂.

    The self part G_s is the distribution of the distance travelled in a time; the distinct part G_d is the density of
    other ions around the earlier position of an ion, 1 for an ideal gas, and ends at half the width of the cell. The
    non-Gaussian parameter α₂ is 0 for diffusion. No AiiDA profile is needed.
    """
    import numpy as np

    from aiida_dpasse.transport.maps import van_hove_maps

    atoms = read_atoms(source, ions)
    maps = van_hove_maps(atoms.positions[:, atoms.mobile], atoms.cell, atoms.interval, distance)
    lags, alpha = maps['map_lag_ps'], maps['non_gaussian']
    write_json(json_path, {name: np.asarray(array).tolist() for name, array in maps.items()})
    if csv_path is not None:
        pairs = maps.get('distinct')
        rows = [
            (
                lag,
                r,
                maps['self_per_A'][i, j],
                '' if pairs is None or j >= pairs.shape[1] else pairs[i, j],
                alpha[i],
            )
            for i, lag in enumerate(lags)
            for j, r in enumerate(maps['self_r_A'])
        ]
        _write_csv(csv_path, ('lag_ps', 'r_A', 'self_per_A', 'distinct', 'non_gaussian'), rows)
    highest = int(np.argmax(alpha))
    farthest = f'{maps["distinct_r_A"][-1]:.1f} Å' if 'distinct' in maps else 'not computed: one ion, or a small cell'
    say(
        _table(
            source,
            atoms,
            [
                ('ions', f'{int(atoms.mobile.sum())}'),
                ('lag times', f'{len(lags)}, {lags[0]:.4g} to {lags[-1]:.4g} ps'),
                ('largest α₂', f'{alpha[highest]:.3g} at {lags[highest]:.4g} ps'),
                ('G_d up to', farthest),
            ],
        )
    )
    if plot_path is not None:
        from aiida_dpasse.reports.maps_plot import plot_van_hove_functions

        write_file(plot_path, lambda path: plot_van_hove_functions(path, maps))


@click.command()
@trajectory_options
@click.option('--pair', 'pairs', multiple=True, metavar='A-B', help='Pair of elements; repeat for several.')
@click.option('--distance', type=DISTANCE, default=8.0, show_default=True, metavar='A', help='Largest distance, in A.')
@click.option(
    '--bin', 'width', type=WIDTH, default=0.05, show_default=True, metavar='A', help='Width of the bins, in A.'
)
@csv_option
@plot_option
@json_option
@writes_files
def rdf(
    source: Source,
    pairs: tuple[str, ...],
    distance: float,
    width: float,
    csv_path: Path | None,
    plot_path: Path | None,
    json_path: Path | None,
) -> None:
    """Radial distribution g(r) and number of neighbours within r of each pair of elements in FILE.

    All periodic images count, so that the distance may exceed half the cell. At most 100 frames are used, evenly
    spaced. The number of neighbours is that of the second element around an atom of the first. No AiiDA profile is
    needed.
    """
    import numpy as np

    from aiida_dpasse.structures.radial import neighbour_numbers

    atoms = read_atoms(source, ())
    wanted = _pairs(pairs, atoms.symbols)
    chosen = np.unique(np.linspace(0, len(atoms.positions) - 1, RDF_FRAMES).round().astype(int))
    scaled = atoms.positions[chosen] @ np.linalg.inv(atoms.cell)
    edges = width * np.arange(int(distance / width + 1e-9) + 1)
    if len(edges) < 2:
        raise Refusal(f'The largest distance, {distance:g} A, is below the width of the bins, {width:g} A.')
    cells = atoms.cells[chosen]
    numbers = neighbour_numbers(atoms.symbols, cells, scaled @ cells, edges)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    volume = float(np.abs(np.linalg.det(cells)).mean())
    r = 0.5 * (edges[1:] + edges[:-1])
    curves = {}
    for one, other in wanted:
        counts, swapped = (numbers[one, other], 1.0) if (one, other) in numbers else (numbers[other, one], 0.0)
        if not swapped:
            counts = counts * atoms.symbols.count(other) / atoms.symbols.count(one)
        curves[f'{one}-{other}'] = (counts * volume / (shells * atoms.symbols.count(other)), np.cumsum(counts))
    peaks = {name: int(np.argmax(g)) for name, (g, _) in curves.items()}
    write_json(
        json_path,
        {
            'frames': len(chosen),
            'volume_A3': volume,
            'r_A': r.tolist(),
            'pairs': {
                name: {'g': g.tolist(), 'neighbours': n.tolist(), 'peak_A': float(r[peaks[name]])}
                for name, (g, n) in curves.items()
            },
        },
    )
    if csv_path is not None:
        names = [f'{kind}_{name}' for name in curves for kind in ('g', 'neighbours')]
        columns = [r, *(column for curve in curves.values() for column in curve)]
        _write_csv(csv_path, ('r_A', *names), zip(*columns, strict=True))
    rows = []
    for name, (g, n) in curves.items():
        peak = peaks[name]
        if g[peak] == 0:
            rows.append((name, f'no pair within {edges[-1]:g} Å'))
            continue
        rows.append(
            (name, f'highest peak {g[peak]:.3g} at {r[peak]:.2f} Å; {n[-1]:.3g} neighbours within {edges[-1]:g} Å')
        )
    say(_table(source, atoms, rows))
    if plot_path is not None:
        from aiida_dpasse.reports.maps_plot import plot_radial

        write_file(plot_path, lambda path: plot_radial(path, r, curves))


def _pairs(given: tuple[str, ...], symbols: list[str]) -> list[tuple[str, str]]:
    """Return the pairs of elements asked for, in the order given.

    :raises Refusal: if a pair is not of two elements of the trajectory.
    """
    from aiida_dpasse.structures.radial import pair_names

    found = []
    for text in given:
        parts = tuple(part for part in text.replace(',', '-').split('-') if part)
        if len(parts) != 2 or not set(parts) <= set(symbols):
            held = ', '.join(sorted(set(symbols)))
            raise Refusal(f'{text} is not a pair of elements of the trajectory, which holds {held}: write it as Li-S.')
        found.append((parts[0], parts[1]))
    return found or pair_names(symbols)


def _table(source: Source, atoms: Atoms, rows: Iterable[tuple[str, str]]) -> str:
    """Return the text shown on the terminal."""
    duration = atoms.interval * (len(atoms.positions) - 1)
    head = f'{quoting.line(source.name)}: {len(atoms.symbols)} atoms, {len(atoms.positions)} frames, {duration:.4g} ps'
    return '\n'.join([head, '', *(f'  {quoting.line(name):30s} {quoting.line(text)}' for name, text in rows)])


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    def write(partial: Path) -> None:
        with partial.open('w', newline='', encoding='utf8') as handle:
            writer = csv.writer(handle)
            writer.writerow(header)
            writer.writerows([f'{value:.6g}' if isinstance(value, float) else value for value in row] for row in rows)

    write_file(path, write)
