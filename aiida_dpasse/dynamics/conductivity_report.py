"""Report of a conductivity: transport by temperature, the Arrhenius fit, displacements and van Hove maps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm

from aiida_dpasse.dynamics.van_hove import read_maps
from aiida_dpasse.experiment.measured import AT_ROOM_TEMPERATURE, ROOM_TEMPERATURE, SOURCE, Measured, find
from aiida_dpasse.experiment.measured import COLUMNS as SAMPLES
from aiida_dpasse.reports.arrhenius_plot import Experiment, Extrapolation, Line, Point, plot_arrhenius
from aiida_dpasse.reports.broken import drawn
from aiida_dpasse.reports.cause import cause
from aiida_dpasse.reports.chain import pretty
from aiida_dpasse.reports.graph import inputs, output, output_dict
from aiida_dpasse.reports.msd import Curve, plot_msd
from aiida_dpasse.reports.tables import Table, text
from aiida_dpasse.reports.van_hove_plot import VanHove, plot_van_hove
from aiida_dpasse.transport.ensemble import POTENTIAL_ONLY

#: Ratio of D along an axis to D across it differs from 1 by more than this number of errors in an anisotropic crystal.
ANISOTROPIC = 2.5

#: Columns of the table, by the key in the row of a temperature.
COLUMNS = {
    'temperature_K': 'T (K)',
    'runs': 'runs',
    'duration_ps': 'time (ps)',
    'diffusivity_cm2_s': 'D (cm²/s)',
    'error_cm2_s': '± D',
    'thermal_part': 'thermal',
    'configurational_part': 'configurations',
    'model_part': 'potentials',
    'configurational_and_model_part': 'configurations and potentials',
    'nernst_einstein_conductivity_mS_cm': 'σ N-E (mS/cm)',
    'nernst_einstein_conductivity_error_mS_cm': '± σ N-E',
    'conductivity_mS_cm': 'σ (mS/cm)',
    'conductivity_error_mS_cm': '± σ',
    'haven_ratio': 'Haven ratio',
    'density_g_cm3': 'ρ (g/cm³)',
    'density_drift': 'drift of ρ',
    'verdict': 'verdict',
}


def lines(process: orm.ProcessNode) -> list[str]:
    """Return the conductivity with its interval, the activation energy and the measured range, or the reasons why it is
    undetermined.

    :param process: a `dpasse.conductivity`.
    """
    found = read_conductivity(process)
    return [] if found is None else found.lines()


def tables(process: orm.ProcessNode) -> list[Table]:
    """Return transport by temperature and the Arrhenius fit.

    :param process: a `dpasse.conductivity`.
    """
    found = read_conductivity(process)
    return [] if found is None else found.tables()


def plots(process: orm.ProcessNode, directory: Path) -> list[Path]:
    """Draw the Arrhenius plot, the displacements and, if available, the van Hove maps.

    :param process: a `dpasse.conductivity`.
    :param directory: folder of the pictures.
    """
    found = read_conductivity(process)
    if found is None:
        return []
    arrhenius, msd = directory / 'arrhenius.png', directory / 'msd.png'
    drawn(arrhenius, lambda path: plot_arrhenius(path, **found.arrhenius_plot()))
    drawn(msd, plot_msd, found.curves)
    if not found.maps:
        return [arrhenius, msd]
    maps = directory / 'van_hove.png'
    drawn(maps, plot_van_hove, found.maps)
    return [arrhenius, msd, maps]


@dataclass(frozen=True)
class Conductivity:
    """Transport by temperature, the Arrhenius fit, and the curves, as stored in the nodes, and what was measured."""

    temperatures: list[dict[str, Any]]
    arrhenius: dict[str, Any]
    curves: list[Curve] = field(default_factory=list)
    finite_size: dict[str, Any] = field(default_factory=dict)
    maps: list[VanHove] = field(default_factory=list)
    measured: Measured | None = None
    #: Sentences on nodes that cannot be read.
    damaged: list[str] = field(default_factory=list)

    @property
    def points(self) -> list[Point]:
        """Temperatures with a conductivity, of the kind used in the fit."""
        name = 'conductivity' if self.arrhenius.get('kind') == 'collective' else 'nernst_einstein_conductivity'
        return [
            Point(row['temperature_K'], row[f'{name}_mS_cm'], row[f'{name}_error_mS_cm'], bool(row['diffusive']))
            for row in self.temperatures
            if row.get(f'{name}_mS_cm') is not None
        ]

    @property
    def line(self) -> Line | None:
        """The fit of ln(sigma T), None if undetermined."""
        fit = self.arrhenius
        if fit.get('slope_K') is None:
            return None
        line = Line(fit['intercept'], fit['slope_K'], np.array(fit['covariance']))
        # The band ends at the interval, which is wider than a standard error if the potentials are few.
        low, high = fit['interval_mS_cm']
        [error] = line.at(np.array([fit['temperature_K']]))[1]
        return replace(line, covariance=line.covariance * (np.log(high / low) / 2 / error) ** 2)

    @property
    def extrapolation(self) -> Extrapolation | None:
        """The conductivity at the requested temperature, None if undetermined."""
        value, interval = self.arrhenius.get('conductivity_mS_cm'), self.arrhenius.get('interval_mS_cm')
        if value is None or interval is None:
            return None
        low, high = interval
        return Extrapolation(self.arrhenius['temperature_K'], value, low, high, self.interval_name)

    @property
    def interval_name(self) -> str:
        """What the intervals leave out, empty if nothing is known to be left out or in earlier releases."""
        return POTENTIAL_ONLY if self.arrhenius.get('interval_of_potential_only') else ''

    @property
    def activation_energy(self) -> tuple[float, float] | None:
        """Activation energy and its standard deviation in eV, None if undetermined."""
        energy = self.arrhenius.get('activation_energy_eV')
        return None if energy is None else (energy, self.arrhenius['activation_energy_error_eV'])

    @property
    def at_room_temperature(self) -> tuple[float, float] | None:
        """Interval of the conductivity (68 %) in mS/cm at room temperature, extrapolated or of a run; None if it is
        undetermined.
        """
        coldest, hottest = AT_ROOM_TEMPERATURE
        found = self.extrapolation
        if found is not None and coldest <= found.temperature <= hottest:
            return found.low, found.high
        for point in self.points:
            if point.diffusive and coldest <= point.temperature <= hottest:
                return max(point.value - point.error, 0.0), point.value + point.error
        return None

    @property
    def reasons(self) -> dict[str, list[float]]:
        """The temperatures in K of each verdict's reason, which is a sentence."""
        found: dict[str, list[float]] = {}
        for row in self.temperatures:
            if row.get('reason'):
                found.setdefault(row['reason'], []).append(row['temperature_K'])
        return found

    @property
    def reason(self) -> str:
        """The reason why the conductivity is undetermined, or why it is of its kind, without those of temperatures."""
        reason = str(self.arrhenius.get('reason') or '')
        for row in self.temperatures:
            reason = reason.replace(f'{row["temperature_K"]:g} K: {row.get("reason")}', '')
        return ' '.join(reason.split())

    @property
    def comparison(self) -> str:
        """The measured range, and where the calculated interval lies; '' if nothing was measured."""
        if self.measured is None or not self.measured.samples:
            return ''
        interval = self.at_room_temperature
        return ' '.join([self.measured.sentence, *([self.measured.comparison(*interval)] if interval else [])])

    def results(self) -> list[str]:
        """Return the results in short lines, without the reasons of single temperatures."""
        found = []
        only = f', interval {self.interval_name}' if self.interval_name else ''
        if self.extrapolation is not None:
            e = self.extrapolation
            found.append(f'σ({e.temperature:.0f} K) = {text(e.value)} ({text(e.low)} to {text(e.high)}) mS/cm{only}')
        if self.activation_energy is not None:
            found.append('Ea = {:.3f} ± {:.3f} eV'.format(*self.activation_energy) + only)
        if self.arrhenius.get('bent'):
            found.append('The Arrhenius plot is curved: one activation energy does not describe all temperatures.')
        if not found:
            found = [*self._diffusivities(), *([self.reason] if self.reason else [])]
        return found

    def _diffusivities(self) -> list[str]:
        return [
            f'D({row["temperature_K"]:g} K) = {text(row["diffusivity_cm2_s"])} cm²/s'
            for row in self.temperatures
            if row.get('diffusivity_cm2_s') is not None
        ]

    def lines(self) -> list[str]:
        """Return the results in short lines, with the reasons why temperatures have none."""
        found = self.results()
        if self.extrapolation is None:
            lost = [row for row in self.temperatures if row.get('diffusivity_cm2_s') is None and row.get('reason')]
            found += [f'{row["temperature_K"]:g} K: {row["reason"]}' for row in lost]
        return [*found, *([self.comparison] if self.comparison else []), *self.damaged]

    def caption(self) -> tuple[str, list[str]]:
        """Return the result in a few words for a diagram: a title, and lines below it."""
        found = self.results() if self.extrapolation is not None else self._diffusivities()
        title = found[0] if self.extrapolation is not None or len(found) == 1 else 'Conductivity undetermined'
        # What follows a comma, for example what the interval leaves out, is no part of a title.
        title, _, more = title.partition(', ')
        below = [*([more] if more else []), *(line.partition(', ')[0] for line in found[1:2])]
        if self.extrapolation is None:
            verdicts: dict[str, list[str]] = {}
            for row in self.temperatures:
                verdicts.setdefault(row['verdict'], []).append(f'{row["temperature_K"]:g}')
            below = [f'{verdict} at {_listed(kelvins)} K' for verdict, kelvins in verdicts.items()]
        if self.measured is not None and self.measured.exact:
            below.append(f'measured: {self.measured.range_text}')
        return title, below

    def arrhenius_plot(self, title: str = '') -> dict[str, Any]:
        """Return the arguments of `plot_arrhenius`."""
        experiment = None
        if self.measured is not None and self.measured.exact:
            samples = self.measured.samples
            count = f'{len(samples)} sample' + ('s' if len(samples) > 1 else '')
            experiment = Experiment(
                ROOM_TEMPERATURE,
                [sample.conductivity for sample in samples if not sample.censored],
                [sample.conductivity for sample in samples if sample.censored],
                f'measured: {self.measured.range_text} ({count})',
            )
        return {
            'points': self.points,
            'line': self.line,
            'extrapolation': self.extrapolation,
            'activation_energy': self.activation_energy,
            'remark': '' if self.extrapolation else self.reason,
            'title': title,
            'experiment': experiment,
        }

    @staticmethod
    def with_parts(row: dict[str, Any]) -> dict[str, Any]:
        """Return the row of a temperature with the parts of its relative error, if several are known."""
        if len(row.get('counts') or ()) < 2:
            return row
        return row | {f'{part}_part': value for part, value in row['variance'].items()}

    def _size(self) -> tuple[str, str]:
        verdict = {True: 'large enough', False: 'too small', None: 'unknown'}[self.finite_size['agrees']]
        return f'{verdict}, at {self.finite_size["temperature_K"]:.0f} K', str(self.finite_size['reason'])

    def _axes(self) -> list[Table]:
        """Return D along x, y and z, if it depends on the direction at any temperature."""
        rows = [row for row in self.temperatures if row.get('anisotropy') is not None]  # missing in earlier releases
        pairs = [list(zip(row['anisotropy'], row['anisotropy_error'], strict=True)) for row in rows]
        if not any(one is not None and abs(one - 1) > ANISOTROPIC * error for row in pairs for one, error in row):
            return []
        columns = ['T (K)', *(f'D {axis} (cm²/s)' for axis in 'xyz')]
        columns += [name for axis in 'xyz' for name in (f'{axis} over across', '±')]
        values = [
            (row['temperature_K'], *np.diag(row['tensor_cm2_s']).tolist(), *(one for pair in ratios for one in pair))
            for row, ratios in zip(rows, pairs, strict=True)
        ]
        return [Table('Diffusion along each axis (x is that of a)', tuple(columns), values)]

    def tables(self) -> list[Table]:
        """Return transport by temperature, the reasons of the verdicts, the checks of the fit, and measured values."""
        rows = [self.with_parts(row) for row in self.temperatures]
        given = {key for row in rows for key, value in row.items() if value is not None}
        known = {key: name for key, name in COLUMNS.items() if key in given}
        alone = any(row.get('interval_of_potential_only') for row in self.temperatures)
        title = f'Transport, errors {POTENTIAL_ONLY}' if alone else 'Transport'
        found = [Table.of(title, known, rows)]
        found += self._axes()
        reasons = [(_listed([f'{kelvin:g}' for kelvin in at]), reason) for reason, at in self.reasons.items()]
        found.append(Table('Verdicts', ('T (K)', 'reason'), reasons))
        if self.finite_size:
            found.append(Table('Size of the cell', ('verdict', 'reason'), [self._size()]))
        # Missing in archives of earlier releases.
        if others := self.arrhenius.get('leave_one_out'):
            columns = ('T left out (K)', 'Ea (eV)', '± Ea', 'σ (mS/cm)', 'from', 'to')
            values = [
                (
                    other['left_out_K'],
                    other['activation_energy_eV'],
                    other['activation_energy_error_eV'],
                    other['conductivity_mS_cm'],
                    *other['interval_mS_cm'],
                )
                for other in others
            ]
            found.append(Table('Without one temperature', columns, values))
        if self.measured is not None:
            found.append(Table(f'Measured at room temperature ({SOURCE})', SAMPLES, list(self.measured.rows)))
        return found


def _listed(names: list[str]) -> str:
    """Return names as in a sentence.

    >>> _listed(['600', '750', '900'])
    '600, 750 and 900'
    """
    return ' and '.join([', '.join(names[:-1]), names[-1]] if len(names) > 1 else names)


def read_conductivity(process: orm.ProcessNode) -> Conductivity | None:
    """Return the results of a conductivity chain, or None if it has no transport output.

    :param process: a `dpasse.conductivity`.
    """
    transport = output_dict(process, 'transport')
    if not transport:
        return None
    rows = transport['temperatures']
    found = Conductivity(
        temperatures=rows,
        arrhenius=output_dict(process, 'arrhenius'),
        finite_size=transport.get('finite_size') or {},
    )
    node = output(process, 'curves')
    damaged = []
    try:
        if isinstance(node, orm.ArrayData):
            kelvins = [row['temperature_K'] for row in rows]
            found = replace(found, curves=read_curves(node, rows), maps=read_maps(node, kelvins))
    except Exception as error:
        damaged.append(f'The curves are not shown: {cause(error)}')
    try:
        found = replace(found, measured=read_measured(process))
    except Exception as error:
        damaged.append(f'The structures are not compared with measurements: {cause(error)}')
    return replace(found, damaged=damaged)


def read_measured(process: orm.ProcessNode) -> Measured | None:
    """Return what was measured on the composition of the structures, or None if they have different ones.

    :param process: a `dpasse.conductivity`.
    """
    formulas = {pretty(crystal.get_formula()) for _, crystal in inputs(process, orm.StructureData)}
    return find(formulas.pop()) if len(formulas) == 1 else None


def read_curves(data: orm.ArrayData, rows: list[dict[str, Any]]) -> list[Curve]:
    """Return the mean square displacements by temperature; those without a run are left out.

    :param data: output `curves` of `dpasse.conductivity`.
    :param rows: rows of the temperatures, in the order of the arrays.
    """
    names = data.get_arraynames()
    return [
        Curve(
            row['temperature_K'],
            data.get_array(f'lag_ps_{index:02d}'),
            data.get_array(f'msd_A2_{index:02d}'),
            data.get_array(f'msd_error_A2_{index:02d}'),
            tuple(row['window_ps']) if row.get('window_ps') else None,
        )
        for index, row in enumerate(rows)
        if f'msd_A2_{index:02d}' in names
    ]
