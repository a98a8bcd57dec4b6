"""`aiida-dpasse transport FILE`: diffusion and conductivity of any trajectory, without AiiDA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse.cli.refusal import OUTPUT, POSITIVE, Refusal, write_json
from aiida_dpasse.cli.trajectory import Source, read_tracks, trajectory_options

if TYPE_CHECKING:
    from aiida_dpasse.transport.diffusion import Diffusion

#: Rows of the table: name, key and unit.
ROWS = (
    ('tracer diffusivity D*', 'tracer_diffusivity_cm2_s', 'cm²/s'),
    ('collective diffusivity Dσ', 'collective_diffusivity_cm2_s', 'cm²/s'),
    ('Haven ratio D*/Dσ', 'haven_ratio', ''),
    ('conductivity σ (from Dσ)', 'conductivity_mS_cm', 'mS/cm'),
    ('Nernst-Einstein σ (from D*)', 'nernst_einstein_conductivity_mS_cm', 'mS/cm'),
)


@click.command()
@trajectory_options
@click.option('--ion', 'ions', required=True, multiple=True, help='Mobile element; repeat for several.')
@click.option(
    '--charge', 'charges', type=float, multiple=True, help='Its charge in e, one for each --ion.  [default: 1]'
)
@click.option('--temperature', type=POSITIVE, required=True, metavar='K', help='Temperature of the run in K.')
@click.option(
    '--jump-distance', type=POSITIVE, default=2.5, show_default=True, metavar='A', help='Distance between sites, in A.'
)
@click.option('--json', 'json_path', type=OUTPUT, help='Write all numbers to this file.')
@click.option('--plot', 'plot_path', type=OUTPUT, help='Draw the MSD, its error and the fit (png, pdf or svg).')
def transport(
    source: Source,
    ions: tuple[str, ...],
    charges: tuple[float, ...],
    temperature: float,
    jump_distance: float,
    json_path: Path | None,
    plot_path: Path | None,
) -> None:
    """Diffusion, Haven ratio and conductivity of the trajectory in FILE: a LAMMPS dump, an XDATCAR, an extxyz, or
    any other format that ASE reads.

    Positions may be wrapped or unwrapped. Displacements are relative to the centre of mass of the immobile atoms.
    Errors are one standard deviation; undetermined quantities are reported as such, and are null in the JSON file.
    No AiiDA profile is needed.
    """
    given = dict(zip(ions, charges or (1.0,) * len(ions), strict=False))
    if (charges and len(charges) != len(ions)) or len(given) != len(ions):
        raise Refusal(f'{len(charges)} charges are given for {len(set(ions))} ions: give one --charge for each --ion.')
    if not any(given.values()):
        raise Refusal('No ion carries a charge: give a --charge that is not zero.')
    numbers, found = analyse_file(source, given, temperature, jump_distance)
    write_json(json_path, numbers)
    click.echo(table(source.name, numbers))
    if plot_path is not None:
        plot(plot_path, temperature, found)


def analyse_file(
    source: Source, charges: dict[str, float], temperature: float, jump_distance: float
) -> tuple[dict[str, Any], Diffusion]:
    """Analyse the transport in one trajectory.

    :param source: the trajectory.
    :param charges: charge in e of each mobile element.
    :param temperature: temperature of the run in K.
    :param jump_distance: distance between neighbouring sites in A.
    :return: the numbers, and the diffusion analysis that they are derived from.
    :raises Refusal: if it is not a trajectory that can be analysed.
    """
    import numpy as np

    from aiida_dpasse.transport.analysis import analyse

    tracks, symbols, interval = read_tracks(source, list(charges))
    summary, positions = tracks.summary(), tracks.positions()
    volume, framework = summary['volume_A3'], summary['framework_displacement_A']
    z = np.array([charges[symbol] for symbol in symbols])
    numbers, found = analyse(positions, z, interval, volume, temperature, jump_distance, framework)
    species: dict[str, Any] = {}
    for ion, charge in charges.items() if len(charges) > 1 else ():
        mask = np.array(symbols) == ion
        alone = np.full(int(mask.sum()), 1.0)
        part, _ = analyse(positions[:, mask], alone, interval, volume, temperature, jump_distance, framework)
        names_kept = ('tracer_diffusivity_cm2_s', 'tracer_diffusivity_cm2_s_error', 'diffusive', 'reason', 'ions')
        species[ion] = {'charge': charge, **{name: part[name] for name in names_kept}}
    extra = {'frames': tracks.seen, 'frames_used': len(tracks.steps), 'species': species}
    return {**numbers, 'framework_drift_A': summary['framework_drift_A'], **extra}, found


def table(name: str, numbers: dict[str, Any]) -> str:
    """Return the text shown on the terminal.

    :param name: name of the trajectory.
    :param numbers: numbers of :func:`analyse_file`.
    """
    lines = [
        f'{name}: {numbers["ions"]} ions, {numbers["duration_ps"]:.4g} ps, {numbers["temperature_K"]:g} K',
        '',
    ]
    for name, key, unit in ROWS:
        value, error = numbers[key], numbers[f'{key}_error']
        text = 'undetermined' if value is None else f'{value:11.4g} ± {error:.2g} {unit}'.rstrip()
        lines.append(f'  {name:28s} {text}')
    for ion, part in numbers['species'].items():
        value, error = part['tracer_diffusivity_cm2_s'], part['tracer_diffusivity_cm2_s_error']
        text = 'undetermined' if value is None else f'{value:11.4g} ± {error:.2g} cm²/s'
        lines.append(f'  {f"D* of {ion}":28s} {text}')
    window = numbers['window_ps']
    if window:
        lines.append(f'  {"window of the fit":28s} {window[0]:11.4g} to {window[1]:.4g} ps')
    lines.append(f'  {"drift of the framework":28s} {numbers["framework_drift_A"]:11.4g} Å')
    lines += ['', f'  {"Diffusive" if numbers["diffusive"] else "Not diffusive"}: {numbers["reason"]}']
    if numbers['diffusive'] and numbers['collective_diffusivity_cm2_s'] is None:
        lines.append('  The run is too short to determine Dσ, the Haven ratio and σ: run longer, or add replicas.')
    return '\n'.join(lines)


def plot(path: Path, temperature: float, found: Diffusion) -> None:
    """Draw the mean square displacement with its error band and the fit.

    :param path: path of the picture.
    :param temperature: temperature of the run in K.
    :param found: diffusion analysis.
    :raises Refusal: if the picture cannot be written.
    """
    from aiida_dpasse.reports.msd import Curve, plot_msd

    fit = found.fit
    window, line = (None, None) if fit is None else (fit.window, (fit.offset, fit.slope))
    try:
        plot_msd(path, [Curve(temperature, found.lags, found.msd, found.msd_error, window, line)])
    except (OSError, ValueError) as error:
        raise Refusal(f'{path} cannot be drawn: {error}') from error
