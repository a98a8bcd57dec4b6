"""`aiida-dpasse transport FILE`: diffusion and conductivity of any trajectory, without AiiDA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.digits import number, with_error
from aiida_dpasse.cli.output import OUTPUT, say, write_file, write_json, write_text, writes_files
from aiida_dpasse.cli.refusal import POSITIVE, SMALL, TEMPERATURE, Refusal
from aiida_dpasse.cli.trajectory import Source, read_replicas, trajectory_options

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

#: Numbers that are reported for each of several carriers.
OF_SPECIES = (
    'tracer_diffusivity_cm2_s',
    'tracer_diffusivity_cm2_s_error',
    'tracer_diffusivity_cm2_s_interval_95',
    'tracer_diffusivity_upper_bound_cm2_s',
    'tracer_diffusivity_estimate_cm2_s',
    'tracer_diffusivity_estimate_cm2_s_error',
    'diffusive',
    'reason',
    'ions',
)


@click.command()
@trajectory_options
@click.option('--ion', 'ions', required=True, multiple=True, help='Mobile element; repeat for several.')
@click.option(
    '--charge', 'charges', type=SMALL, multiple=True, help='Its charge in e, one for each --ion.  [default: 1]'
)
@click.option(
    '--temperature',
    type=TEMPERATURE,
    metavar='K',
    help='Temperature of the run in K; without it FILE is a table of runs.',
)
@click.option(
    '--extrapolate',
    type=TEMPERATURE,
    default=300.0,
    show_default=True,
    metavar='K',
    help='For a table of runs: temperature to extrapolate to.',
)
@click.option('--jump-distance', '--hop-length', 'jump_distance', type=POSITIVE, hidden=True)
@click.option('--json', 'json_path', type=OUTPUT, help='Write all numbers to this file.')
@click.option('--msd', 'msd_path', type=OUTPUT, help='Write the MSD, its error and its asymptote to this CSV file.')
@click.option(
    '--plot', 'plot_path', type=OUTPUT, help='Draw the MSD, its error and its asymptote (png, pdf, svg or jpg).'
)
@writes_files
def transport(
    source: Source,
    ions: tuple[str, ...],
    charges: tuple[float, ...],
    temperature: float | None,
    extrapolate: float,
    jump_distance: float | None,
    json_path: Path | None,
    msd_path: Path | None,
    plot_path: Path | None,
) -> None:
    """Diffusion, Haven ratio and conductivity of the trajectory in FILE: LAMMPS dumps, XDATCARs, and any other format
    that ASE or MDAnalysis reads; several files are parts of one run. FILE may be the PK of a dpasse.md calculation or
    of its folder, whose time step and elements are then known.

    Positions may be wrapped or unwrapped. Displacements are relative to the centre of mass of the immobile atoms.
    Errors are one standard deviation; undetermined quantities are reported as such, and are null in the JSON file.

    Without --temperature FILE is a table with the columns file and temperature_K (and, if needed, timestep_fs): every
    run is analysed, and the Arrhenius line is fitted and drawn. No AiiDA profile is needed for files.
    """
    given = dict(zip(ions, charges or (1.0,) * len(ions), strict=False))
    if (charges and len(charges) != len(ions)) or len(given) != len(ions):
        raise Refusal(f'{len(charges)} charges are given for {len(set(ions))} ions: give one --charge for each --ion.')
    if not any(given.values()):
        raise Refusal('No ion carries a charge: give a --charge that is not zero.')
    if temperature is None:
        from aiida_dpasse.cli.run_table import run_table

        if msd_path is not None:
            raise Refusal('--msd is that of one run: give its --temperature, or leave out --msd.')
        if len(source.paths) > 1 or source.paths[0].suffix not in ('.csv', '.txt', '.dat', '.tsv'):
            raise Refusal(f'The temperature of {source.name} is not given: add --temperature, or name a table of runs.')
        run_table(source.paths[0], source, given, extrapolate, json_path, plot_path)
        return
    numbers, found = analyse_file(source, given, temperature)
    write_json(json_path, numbers)
    if msd_path is not None:
        write_msd(msd_path, found)
    say(table(source.name, numbers))
    if plot_path is not None:
        plot(plot_path, temperature, found)


def analyse_file(source: Source, charges: dict[str, float], temperature: float) -> tuple[dict[str, Any], Diffusion]:
    """Analyse the transport in one trajectory.

    :param source: the trajectory.
    :param charges: charge in e of each mobile element.
    :param temperature: temperature of the run in K.
    :return: the numbers, and the diffusion analysis that they are derived from.
    :raises Refusal: if it is not a trajectory that can be analysed.
    """
    import numpy as np

    from aiida_dpasse.transport.analysis import describe
    from aiida_dpasse.transport.diffusion import take_statistics

    found = read_replicas(source, list(charges))
    summaries = [tracks.summary() for tracks, _, _ in found]
    positions = [tracks.positions() for tracks, _, _ in found]
    symbols = found[0][1]
    if any(others != symbols for _, others, _ in found):
        raise Refusal(f'The replicas of {source.name} hold different ions: name runs of one system.')

    def pooled(mask: Any, z: Any) -> tuple[dict[str, Any], Diffusion]:
        runs = [
            take_statistics(
                points[:, mask],
                interval,
                summary['volume_A3'],
                z,
                summary['framework_displacement_A'],
                np.array(symbols)[mask],
                np.mean(tracks.cells, axis=0),
            )
            for (tracks, _, interval), summary, points in zip(found, summaries, positions, strict=True)
        ]
        return describe(runs, z, temperature)

    try:
        numbers, diffusion = pooled(np.full(len(symbols), True), np.array([charges[symbol] for symbol in symbols]))
        species: dict[str, Any] = {}
        for ion, charge in charges.items() if len(charges) > 1 else ():
            mask = np.array(symbols) == ion
            part, _ = pooled(mask, np.ones(int(mask.sum())))
            species[ion] = {'charge': charge, **{key: part[key] for key in OF_SPECIES}}
    except ValueError as error:
        raise Refusal(f'{source.name}: {error}') from error
    extra = {
        'framework_drift_A': max(summary['framework_drift_A'] for summary in summaries),
        'frames': sum(tracks.seen for tracks, _, _ in found),
        'frames_used': sum(len(tracks.steps) for tracks, _, _ in found),
        'species': species,
    }
    return {**numbers, **extra}, diffusion


def table(name: str, numbers: dict[str, Any]) -> str:
    """Return the text shown on the terminal.

    :param name: name of the trajectory.
    :param numbers: numbers of :func:`analyse_file`.
    """
    used, read, runs = numbers['frames_used'], numbers['frames'], numbers['runs']
    lines = [
        f'{quoting.line(name)}: {numbers["ions"]} ions at {numbers["temperature_K"]:g} K',
        f'{f"{runs} runs, " if runs > 1 else ""}{used} of {read} frames, {numbers["interval_ps"]:.4g} ps apart: '
        f'{numbers["duration_ps"]:.4g} ps',
        '',
        f'  {"":28s} {"value ± error":27s} 95 % interval',
    ]
    for title, key, unit in ROWS:
        lines.append(_row(title, numbers, key, unit))
        if key == 'tracer_diffusivity_cm2_s':
            lines += _axes(numbers)
        if key == 'conductivity_mS_cm' and numbers[key] is not None:
            value, error = numbers[key] * 1e-3, numbers[f'{key}_error'] * 1e-3
            lines.append(f'  {"":28s} {with_error(value, error)} S/cm')
    for ion, part in numbers['species'].items():
        lines.append(_row(f'D* of {ion}', part, 'tracer_diffusivity_cm2_s', 'cm²/s'))
    lines.append('')
    if window := numbers['window_ps']:
        lines.append(f'  {"MSD is linear":28s} from {window[0]:.4g} ps')
    lines += [
        f'  {"displacement of the host":28s} {numbers["framework_displacement_A"]:.2g} Å, '
        f'drift {numbers["framework_drift_A"]:.2g} Å',
        '',
        f'  {"Diffusive" if numbers["diffusive"] else "Not diffusive"}: {numbers["reason"]}',
    ]
    if numbers['diffusive'] and numbers['collective_diffusivity_cm2_s'] is None:
        lines.append('  The run is too short to determine Dσ, the Haven ratio and σ: run longer, or add replicas.')
    return '\n'.join(lines)


def _row(title: str, numbers: dict[str, Any], key: str, unit: str) -> str:
    value, interval = numbers[key], numbers.get(f'{key}_interval_95')
    if value is not None:
        error = numbers[f'{key}_error']
        text = f'{with_error(value, error)} {unit}'.rstrip()
        if interval:
            low, high = (number(limit, error) for limit in interval)
            text = f'{text:27s} {low} to {high}'
    elif (bound := numbers.get(f'{key.removesuffix("_cm2_s")}_upper_bound_cm2_s')) is not None:
        text = f'undetermined, < {bound:.2g} {unit} (95 %)'
    else:
        text = 'undetermined'
    return f'  {title:28s} {text}'


def _axes(numbers: dict[str, Any]) -> list[str]:
    tensor, errors = (numbers[f'tracer_tensor_cm2_s{part}'] for part in ('', '_error'))
    if tensor is None:
        return []
    return [f'  {f"  along {axis}":28s} {with_error(tensor[i][i], errors[i][i])} cm²/s' for i, axis in enumerate('xyz')]


def write_msd(path: Path, found: Diffusion) -> None:
    """Write the mean square displacement as CSV.

    :param path: path of the file.
    :param found: diffusion analysis.
    :raises Refusal: if the file cannot be written.
    """
    line = found.line
    rows = [
        f'{lag:.6g},{msd:.6g},{error:.6g},' + ('' if line is None else f'{line[0] + line[1] * lag:.6g}')
        for lag, msd, error in zip(found.lags, found.msd, found.msd_error, strict=True)
    ]
    write_text(path, '\n'.join(['lag_ps,msd_A2,msd_error_A2,asymptote_A2', *rows, '']))


def plot(path: Path, temperature: float, found: Diffusion) -> None:
    """Draw the mean square displacement with its error band and its asymptote.

    :param path: path of the picture.
    :param temperature: temperature of the run in K.
    :param found: diffusion analysis.
    :raises Refusal: if the picture cannot be written.
    """
    from aiida_dpasse.reports.msd import Curve, plot_msd

    curve = Curve(temperature, found.lags, found.msd, found.msd_error, found.window, found.line)
    write_file(path, lambda partial: plot_msd(partial, [curve]))
