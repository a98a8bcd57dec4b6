"""`aiida-dpasse arrhenius TABLE`: activation energies and extrapolation from a table, without AiiDA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.columns import Measurements, read_measurements
from aiida_dpasse.cli.digits import number, with_error
from aiida_dpasse.cli.output import OUTPUT, say, write_file, write_json, writes_files
from aiida_dpasse.cli.refusal import EXISTING, SMALL, TEMPERATURE, Refusal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Symbol, unit, and prefix of the keys in the JSON file, of each quantity.
QUANTITIES = {
    'diffusivity': ('D', 'cm²/s', 'diffusivity_cm2_s', 'interval_cm2_s'),
    'conductivity': ('σ', 'mS/cm', 'conductivity_mS_cm', 'conductivity_interval_mS_cm'),
}


@click.command()
@click.argument('table', type=EXISTING)
@click.option(
    '--columns', metavar='NAMES', help='Names of the columns in order, for other headers: "T (K),D (cm2/s),error".'
)
@click.option(
    '--extrapolate',
    type=TEMPERATURE,
    default=300.0,
    show_default=True,
    metavar='K',
    help='Temperature to extrapolate to.',
)
@click.option(
    '--exponent', type=SMALL, default=0.0, show_default=True, help='m of y = A T^m exp(-Ea / kT), y = D or σT.'
)
@click.option(
    '--charge', type=SMALL, default=1.0, show_default=True, help='Charge of an ion in e, for the Nernst-Einstein σ.'
)
@click.option('--json', 'json_path', type=OUTPUT, help='Write all numbers to this file.')
@click.option('--plot', 'plot_path', type=OUTPUT, help='Draw the Arrhenius plot (png, svg, pdf or jpg).')
@writes_files
def arrhenius(
    table: Path,
    columns: str | None,
    extrapolate: float,
    exponent: float,
    charge: float,
    json_path: Path | None,
    plot_path: Path | None,
) -> None:
    """Activation energies of the diffusivities or conductivities in TABLE, and both at another temperature.

    TABLE has one row for each temperature, with a header such as "T (K),D (cm2/s),error" or "T (K);sigma (mS/cm)";
    columns are separated by commas, semicolons, tabs or spaces. The activation energy of the conductivity is that of
    σT. Values without an error (one standard deviation) have equal weights, and the error of the line is then
    estimated from their scatter. With volume_A3 and ions the Nernst-Einstein conductivity is reported as well.
    Intervals are 68 % confidence intervals. From five temperatures on, the VTF equation is compared with the Arrhenius
    equation. No AiiDA profile is needed.
    """
    report(read_measurements(table, columns), table.name, extrapolate, exponent, charge, json_path, plot_path)


def report(
    table: Measurements,
    name: str,
    temperature: float,
    exponent: float = 0.0,
    charge: float = 1.0,
    json_path: Path | None = None,
    plot_path: Path | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Fit a table, print the result, and write the files.

    :param table: the values by temperature.
    :param name: name of the table to print.
    :param temperature: temperature of the extrapolation in K.
    :param exponent: m of y = A T^m exp(-Ea / kT).
    :param charge: charge of an ion in e.
    :param json_path: path of the JSON file, or None.
    :param plot_path: path of the picture, or None.
    :param extra: further content of the JSON file.
    :raises Refusal: if there are too few temperatures, or a file cannot be written.
    """
    try:
        answer = describe(table, temperature, exponent, charge)
    except ValueError as error:
        raise Refusal(f'{name}: {error}') from error
    write_json(json_path, {**answer, **(extra or {})})
    say(show(name, answer))
    if plot_path is not None:
        plot(plot_path, answer)


def describe(table: Measurements, temperature: float, exponent: float = 0.0, charge: float = 1.0) -> dict[str, Any]:
    """Return the fits and the extrapolations, by names with units.

    :param table: the values by temperature.
    :param temperature: temperature of the extrapolation in K.
    :param exponent: m of y = A T^m exp(-Ea / kT), with y equal to D or sigma T.
    :param charge: charge of an ion in e.
    :returns: the numbers of the first quantity in the table, and those of the conductivity under ``conductivity`` if
        the table has diffusivities as well.
    :raises ValueError: if there are too few temperatures.
    """
    import numpy as np

    values, errors = dict(table.values), dict(table.errors)
    origin = 'table'
    if 'conductivity' not in values and table.volume is not None and table.ions is not None:
        from aiida_dpasse.transport.conductivity import conductivity

        rows = zip(table.ions, table.volume, table.temperatures, strict=True)
        factors = np.array([conductivity(1.0, ions, volume, t, charge) for ions, volume, t in rows])
        values['conductivity'] = factors * values['diffusivity']
        if 'diffusivity' in errors:
            errors['conductivity'] = factors * errors['diffusivity']
        origin = 'Nernst-Einstein'
    parts = {
        kind: _fit(kind, table.temperatures, values[kind], errors.get(kind), temperature, exponent) for kind in values
    }
    first = 'diffusivity' if 'diffusivity' in parts else 'conductivity'
    answer: dict[str, Any] = {
        'temperature_K': temperature,
        'exponent': exponent,
        'columns': table.columns,
        'ignored_columns': table.ignored,
        'assumed_units': table.assumed,
        'skipped': table.skipped,
        'conductivity_from': origin if 'conductivity' in parts else None,
        **parts[first],
    }
    if first == 'diffusivity' and 'conductivity' in parts:
        answer['conductivity'] = found = parts['conductivity']
        answer |= {key: found[key] for key in ('conductivity_mS_cm', 'conductivity_interval_mS_cm')}
    return answer


def _fit(
    kind: str, temperatures: Array, values: Array, errors: Array | None, temperature: float, exponent: float
) -> dict[str, Any]:
    """Return the numbers of one quantity; for the conductivity sigma T is fitted."""
    import numpy as np

    from aiida_dpasse.transport.arrhenius import check_line, fit_arrhenius
    from aiida_dpasse.transport.vtf import FEWEST_TEMPERATURES, fit_vtf

    kept = np.isfinite(values)
    t, y = temperatures[kept], values[kept]
    e = None if errors is None else errors[kept]
    # sigma T of sigma, and sigma of sigma T at the temperature of the extrapolation.
    scale, back = (t, 1 / temperature) if kind == 'conductivity' else (np.ones_like(t), 1.0)
    data = (t, scale * y, None if e is None else scale * e)
    fit = fit_arrhenius(*data, exponent)
    _, _, value_key, interval_key = QUANTITIES[kind]
    energy, energy_error = fit.activation_energy
    value, *interval = (back * number for number in fit.interval(temperature))
    checks = check_line(*data, temperature, exponent)
    prefactor = {'diffusivity': 'prefactor_cm2_s', 'conductivity': 'prefactor_mS_K_cm'}[kind]
    numbers: dict[str, Any] = {
        'quantity': kind,
        'weighted': e is not None,
        'activation_energy_eV': energy,
        'activation_energy_error_eV': energy_error,
        'activation_energy_interval_95_eV': list(fit.energy_interval(0.95)),
        value_key: value,
        interval_key: interval,
        prefactor: float(np.exp(fit.intercept)),
        'intercept': fit.intercept,
        'slope_K': fit.slope,
        'covariance': fit.covariance.tolist(),
        'reduced_chi_squared': fit.reduced_chi_squared,
        'extrapolated': not bool(t.min() <= temperature <= t.max()),
        'temperatures_K': t.tolist(),
        'values': y.tolist(),
        'errors': None if e is None else e.tolist(),
        'leave_one_out': [
            {
                'left_out_K': other.left_out,
                'activation_energy_eV': other.activation_energy[0],
                'activation_energy_error_eV': other.activation_energy[1],
                value_key: back * other.value,
                interval_key: [back * bound for bound in other.interval],
            }
            for other in checks.leave_one_out
        ],
        **checks.curvature_numbers,
        'vtf': None,
    }
    if len(np.unique(t)) >= FEWEST_TEMPERATURES:
        vtf = fit_vtf(*data, exponent)
        at = vtf.interval(temperature)
        spread = None if vtf.covariance is None else np.sqrt(np.diag(vtf.covariance)).tolist()
        numbers['vtf'] = {
            'intercept': vtf.intercept,
            'B_K': vtf.b,
            'B_error_K': spread and spread[1],
            'B_eV': vtf.pseudo_energy,
            'T0_K': vtf.t0,
            'T0_error_K': spread and spread[2],
            value_key: at and back * at[0],
            interval_key: at and [back * bound for bound in at[1:]],
            'aic_difference': vtf.evidence,
            'preferred': vtf.preferred,
        }
    return numbers


def show(name: str, answer: dict[str, Any]) -> str:
    """Return the text shown on the terminal.

    :param name: name of the table.
    :param answer: numbers of :func:`describe`.
    """
    lines = [f'{quoting.line(name)}: {_span(answer)}']
    for header, unit in answer['assumed_units'].items():
        lines.append(f'The column {quoting.line(header)} gives no unit: {unit} is assumed.')
    if answer['ignored_columns']:
        lines.append(quoting.line(f'Columns that are not used: {", ".join(answer["ignored_columns"])}.'))
    if answer['skipped']:
        reasons = {f'line {each["line"]} ({each["undetermined"]})': None for each in answer['skipped']}
        lines.append(f'Undetermined and left out of the fit: {", ".join(reasons)}.')
    lines += _show_part(answer, answer['temperature_K'])
    if 'conductivity' in answer:
        lines += _show_part(answer['conductivity'], answer['temperature_K'])
        if answer['conductivity_from'] == 'Nernst-Einstein':
            lines.append('  σ is the Nernst-Einstein conductivity of D.')
    parts = [answer, *([answer['conductivity']] if 'conductivity' in answer else [])]
    if not all(part['weighted'] for part in parts):
        lines += [
            '',
            'The values have no errors: all have the same weight, and the errors of the line are estimated from their',
            'scatter about it, with Student intervals. A curved plot or one wrong value increases them.',
        ]
    return '\n'.join(lines)


def _span(part: dict[str, Any]) -> str:
    kelvins = part['temperatures_K']
    points = '' if len(set(kelvins)) == len(kelvins) else f'{len(kelvins)} values at '
    return f'{points}{len(set(kelvins))} temperatures, {min(kelvins):g} to {max(kelvins):g} K'


def _show_part(part: dict[str, Any], temperature: float) -> list[str]:
    symbol, unit, value_key, interval_key = QUANTITIES[part['quantity']]
    at, of = f'{symbol}({temperature:g} K)', {'D': 'D', 'σ': 'σT'}[symbol]

    def bounds(found: dict[str, Any]) -> str:
        low, high = found[interval_key]
        # As many digits as the interval determines.
        width = (high - low) / 2
        values = (number(value, width) for value in (found[value_key], low, high))
        return '{} {unit}, 68 %: {} to {}'.format(*values, unit=unit)

    def energy(found: dict[str, Any]) -> str:
        return with_error(found['activation_energy_eV'], found['activation_energy_error_eV'], 'eV')

    rows = [(f'activation energy of {of}', energy(part)), (at, bounds(part))]
    if part['reduced_chi_squared'] is not None:
        rows.append(('reduced χ²', f'{part["reduced_chi_squared"]:.2g}'))
    if part['bent'] is not None:
        what = 'significant: one activation energy is not enough' if part['bent'] else 'not significant'
        rows.append(('curvature', f'{what} ({with_error(part["bend_K2"], part["bend_error_K2"], "K²")})'))
    if (vtf := part['vtf']) is not None:
        if vtf['T0_error_K'] is None:
            rows.append(('VTF equation', 'no T0 above 0 K fits better than the Arrhenius equation'))
        else:
            difference = vtf['aic_difference']
            verdict = 'supported' if vtf['preferred'] else 'not supported'
            evidence = (
                'undetermined: give 6 temperatures, or errors' if difference is None else f'{difference:.1f}, {verdict}'
            )
            pairs = [(name, vtf[f'{name}_K'], vtf[f'{name}_error_K']) for name in ('T0', 'B')]
            parameters = ', '.join(f'{name} = {with_error(value, error, "K")}' for name, value, error in pairs)
            rows += [('VTF equation', parameters), ('AIC(Arrhenius) - AIC(VTF)', evidence)]
            if vtf['preferred'] and vtf[value_key] is not None:
                rows.append((f'{at} of VTF', bounds(vtf)))
    for other in part['leave_one_out']:
        low, high = other[interval_key]
        value = number(other[value_key], (high - low) / 2)
        rows.append((f'without {other["left_out_K"]:g} K', f'{energy(other)}, {at} = {value} {unit}'))
    return ['', *(f'  {name:28s} {text}' for name, text in rows)]


def plot(path: Path, answer: dict[str, Any]) -> None:
    """Draw the Arrhenius plot of the conductivity if it is known, else of the diffusivity.

    :param path: path of the picture.
    :param answer: numbers of :func:`describe`.
    :raises Refusal: if the picture cannot be written.
    """
    import numpy as np

    from aiida_dpasse.reports.arrhenius_plot import Extrapolation, Line, Point, plot_arrhenius

    part = answer.get('conductivity', answer)
    _, _, value_key, interval_key = QUANTITIES[part['quantity']]
    errors = part['errors'] or [0.0] * len(part['values'])
    points = [Point(*row) for row in zip(part['temperatures_K'], part['values'], errors, strict=True)]
    line = Line(part['intercept'], part['slope_K'], np.array(part['covariance']), answer['exponent'])
    best, curve = part, None
    if (vtf := part['vtf']) is not None and vtf['preferred']:
        curve = (vtf['intercept'], vtf['B_K'], vtf['T0_K'])
        best = vtf if vtf[value_key] is not None else part
    write_file(
        path,
        lambda partial: plot_arrhenius(
            partial,
            points,
            line,
            Extrapolation(answer['temperature_K'], best[value_key], *best[interval_key]),
            activation_energy=(part['activation_energy_eV'], part['activation_energy_error_eV']),
            diffusivity=part['quantity'] == 'diffusivity',
            source='',
            vtf=curve,
        ),
    )
