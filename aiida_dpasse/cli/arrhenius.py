"""`aiida-dpasse arrhenius TABLE`: activation energy and extrapolation, without AiiDA."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import click

from aiida_dpasse.cli.refusal import EXISTING, OUTPUT, POSITIVE, Refusal, write_json

COLUMNS = ('temperature_K', 'diffusivity_cm2_s', 'error_cm2_s')
#: If both columns are given, the conductivity is reported as well.
OPTIONAL = ('volume_A3', 'ions')


@click.command()
@click.argument('table', type=EXISTING)
@click.option(
    '--extrapolate',
    type=POSITIVE,
    default=300.0,
    show_default=True,
    metavar='K',
    help='Temperature to extrapolate D to.',
)
@click.option('--exponent', type=float, default=0.0, show_default=True, help='m of D = A T^m exp(-Ea / kT).')
@click.option(
    '--charge', type=float, default=1.0, show_default=True, help='Charge of an ion in e, for the conductivity.'
)
@click.option('--json', 'json_path', type=OUTPUT, help='Write all numbers to this file.')
def arrhenius(table: Path, extrapolate: float, exponent: float, charge: float, json_path: Path | None) -> None:
    """Activation energy of the diffusion coefficients in TABLE, and D at another temperature with its interval.

    TABLE is a CSV file with the columns temperature_K, diffusivity_cm2_s and error_cm2_s (one standard deviation); with
    volume_A3 and ions the Nernst-Einstein conductivity is reported as well. Intervals are 68 % confidence intervals and
    include the covariance of slope and intercept. No AiiDA profile is needed.
    """
    rows = read_table(table)
    try:
        answer = describe(rows, extrapolate, exponent, charge)
    except ValueError as error:
        raise Refusal(str(error)) from error
    write_json(json_path, answer)
    click.echo(show(answer))


def read_table(path: Path) -> dict[str, list[float]]:
    """Return the columns of a CSV file.

    :param path: path of the file.
    :raises Refusal: if a column is missing, or a value is not a number.
    """
    with path.open(newline='', encoding='utf-8-sig', errors='replace') as handle:
        reader = csv.DictReader(handle, skipinitialspace=True)
        names = [name.strip() for name in reader.fieldnames or () if name]
        reader.fieldnames = names
        missing = [name for name in COLUMNS if name not in names]
        if missing:
            raise Refusal(f'{path.name} lacks the column {missing[0]}: it should have {", ".join(COLUMNS)}.')
        kept = [*COLUMNS, *(name for name in OPTIONAL if all(other in names for other in OPTIONAL))]
        columns: dict[str, list[float]] = {name: [] for name in kept}
        for row in reader:
            for name in kept:
                try:
                    columns[name].append(float(row[name]))
                except (TypeError, ValueError):
                    raise Refusal(
                        f'Line {reader.line_num} of {path.name} has no number in the column {name}: {row[name]!r}.'
                    ) from None
    return columns


def describe(columns: dict[str, list[float]], temperature: float, exponent: float, charge: float) -> dict[str, Any]:
    """Return the Arrhenius fit and the extrapolation, by names with units.

    :param columns: temperatures in K, diffusion coefficients and their standard deviations in cm^2/s and, optionally,
        volumes in A^3 and numbers of ions.
    :param temperature: temperature of the extrapolation in K.
    :param exponent: m of D = A T^m exp(-Ea / kT).
    :param charge: charge of an ion in e.
    :raises ValueError: if there are too few temperatures, or a number is not positive.
    """
    import numpy as np

    from aiida_dpasse.transport.arrhenius import check_line, fit_arrhenius
    from aiida_dpasse.transport.conductivity import conductivity

    t, d, e = (np.array(columns[name]) for name in COLUMNS)
    fit = fit_arrhenius(t, d, e, exponent)
    energy, energy_error = fit.activation_energy
    value, low, high = fit.interval(temperature)
    checks = check_line(t, d, e, temperature, exponent)
    others = [
        {
            'left_out_K': other.left_out,
            'activation_energy_eV': other.activation_energy[0],
            'activation_energy_error_eV': other.activation_energy[1],
            'diffusivity_cm2_s': other.value,
            'interval_cm2_s': list(other.interval),
        }
        for other in checks.leave_one_out
    ]
    answer: dict[str, Any] = {
        'temperature_K': temperature,
        'activation_energy_eV': energy,
        'activation_energy_error_eV': energy_error,
        'diffusivity_cm2_s': value,
        'interval_cm2_s': [low, high],
        'prefactor_cm2_s': float(np.exp(fit.intercept)),
        'exponent': exponent,
        'covariance': fit.covariance.tolist(),
        'reduced_chi_squared': fit.reduced_chi_squared,
        'extrapolated': not bool(t.min() <= temperature <= t.max()),
        'temperatures_K': t.tolist(),
        'leave_one_out': others,
        **checks.curvature_numbers,
    }
    if 'volume_A3' in columns:
        # The cell volume is that at the temperature closest to the requested one.
        index = int(np.argmin(np.abs(t - temperature)))
        ions, volume = columns['ions'][index], columns['volume_A3'][index]
        factor = conductivity(1.0, round(ions), volume, temperature, charge)
        answer |= {'conductivity_mS_cm': factor * value, 'conductivity_interval_mS_cm': [factor * low, factor * high]}
    return answer


def show(answer: dict[str, Any]) -> str:
    """Return the text shown on the terminal.

    :param answer: numbers of :func:`describe`.
    """
    energy, error = answer['activation_energy_eV'], answer['activation_energy_error_eV']
    low, high = answer['interval_cm2_s']
    span = f'{min(answer["temperatures_K"]):g} to {max(answer["temperatures_K"]):g} K'
    at = f'D({answer["temperature_K"]:g} K)'
    lines = [f'{len(answer["temperatures_K"])} temperatures, {span}', '']
    lines.append(f'  {"activation energy":24s} {energy:.4f} ± {error:.4f} eV')
    lines.append(f'  {at:24s} {answer["diffusivity_cm2_s"]:.3g} cm²/s, 68 %: {low:.3g} to {high:.3g}')
    if 'conductivity_mS_cm' in answer:
        low, high = answer['conductivity_interval_mS_cm']
        lines.append(
            f'  {"Nernst-Einstein σ":24s} {answer["conductivity_mS_cm"]:.3g} mS/cm, 68 %: {low:.3g} to {high:.3g}'
        )
    if answer['bent'] is not None:
        what = 'significant: one activation energy is not enough' if answer['bent'] else 'not significant'
        lines.append(f'  {"curvature":24s} {what} ({answer["bend_K2"]:.2g} ± {answer["bend_error_K2"]:.2g} K²)')
    for other in answer['leave_one_out']:
        name = f'without {other["left_out_K"]:g} K'
        lines.append(
            f'  {name:24s} {other["activation_energy_eV"]:.4f} eV, {at} = {other["diffusivity_cm2_s"]:.3g} cm²/s'
        )
    return '\n'.join(lines)
