"""The Arrhenius command on tables as people write them: separators, headers, units, missing values, and its files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from aiida_dpasse.cli.arrhenius import arrhenius
from aiida_dpasse.cli.columns import read_measurements, recognise
from aiida_dpasse.cli.digits import with_error
from aiida_dpasse.transport.conductivity import BOLTZMANN_EV, conductivity

T = np.array([500.0, 600, 700, 800])
#: cm^2/s, with an activation energy of 0.3 eV.
D = 1e-3 * np.exp(-0.3 / (BOLTZMANN_EV * T))


def run(tmp_path, text, *options):
    """Return the numbers and the output of the command on a table."""
    (tmp_path / 'table').write_text(text)
    target = tmp_path / 'numbers.json'
    arguments = [str(tmp_path / 'table'), '--force', '--json', str(target), *map(str, options)]
    result = CliRunner().invoke(arrhenius, arguments)
    assert result.exit_code == 0, result.output
    return json.loads(target.read_text()), result.output


def rows(*columns, separator=','):
    """Return the rows of a table."""
    return '\n'.join(separator.join(f'{value:.10g}' for value in row) for row in zip(*columns, strict=True)) + '\n'


def test_a_table_with_errors_volumes_and_ions(tmp_path):
    n = np.full(4, 24.0)
    header = 'temperature_K,diffusivity_cm2_s,error_cm2_s,volume_A3,ions\n'
    answer, output = run(tmp_path, header + rows(T, D, 0.05 * D, 1000 + 0 * n, n))
    truth = 1e-3 * np.exp(-0.3 / (BOLTZMANN_EV * 300))
    assert answer['activation_energy_eV'] == pytest.approx(0.3)
    assert answer['temperature_K'] == 300
    assert answer['diffusivity_cm2_s'] == pytest.approx(truth)
    low, high = answer['interval_cm2_s']
    assert low < truth < high
    assert answer['conductivity_mS_cm'] == pytest.approx(conductivity(truth, 24, 1000.0, 300.0))
    assert answer['conductivity']['activation_energy_eV'] == pytest.approx(0.3)
    assert [other['left_out_K'] for other in answer['leave_one_out']] == T.tolist()
    assert answer['bent'] is False
    assert answer['weighted'] is True
    assert answer['vtf'] is None
    assert '0.300 ± ' in output


def test_a_table_without_errors_takes_them_from_the_scatter(tmp_path):
    noisy = D * np.exp([0.1, -0.1, -0.1, 0.1])
    answer, output = run(tmp_path, 'T (K),D (cm2/s)\n' + rows(T, noisy))
    slope, cov = np.polyfit(1 / T, np.log(noisy), 1, cov=True)
    assert answer['activation_energy_eV'] == pytest.approx(-slope[0] * BOLTZMANN_EV)
    assert answer['activation_energy_error_eV'] == pytest.approx(np.sqrt(cov[0, 0]) * BOLTZMANN_EV)
    assert answer['weighted'] is False
    assert answer['reduced_chi_squared'] is None
    low, high = answer['activation_energy_interval_95_eV']
    # Student's factor of two degrees of freedom.
    assert (high - low) / 2 == pytest.approx(4.3027 * answer['activation_energy_error_eV'], rel=1e-4)
    assert 'scatter' in output


@pytest.mark.parametrize(('header', 'factor'), [('sigma (mS/cm)', 1), ('σ [S cm⁻¹]', 1e-3), ('conductivity_S_m', 0.1)])
def test_conductivities_give_the_energy_of_sigma_t(tmp_path, header, factor):
    sigma = np.exp(-0.25 / (BOLTZMANN_EV * T)) / T * 1e6
    answer, _ = run(tmp_path, f'T_K;{header}\n' + rows(T, factor * sigma, separator=';'), '--extrapolate', 400)
    assert answer['activation_energy_eV'] == pytest.approx(0.25)
    assert answer['conductivity_mS_cm'] == pytest.approx(1e6 * np.exp(-0.25 / (BOLTZMANN_EV * 400)) / 400)
    assert answer['quantity'] == 'conductivity'


@pytest.mark.parametrize(
    ('header', 'base', 'unit'),
    [
        ('log10 sigma (mS/cm)', 10, 1),
        ('log10(σ / S cm⁻¹)', 10, 1e-3),
        ('lg_conductivity_S_m', 10, 0.1),
        ('ln(σ) [S/cm]', np.e, 1e-3),
        ('log₁₀(sigma (S/cm))', 10, 1e-3),
    ],
)
@pytest.mark.parametrize('error', ['error', 'std'])
def test_logarithms_with_their_errors(tmp_path, header, base, unit, error):
    """The error of a logarithm is that of the value divided by the value and by ln(base)."""
    sigma = np.exp(-0.25 / (BOLTZMANN_EV * T)) / T * 1e6
    logs = np.log(unit * sigma) / np.log(base)
    found, _ = run(tmp_path, f'T_K;{header};{error}\n' + rows(T, logs, 0.1 / np.log(base) + 0 * T, separator=';'))
    expected, _ = run(tmp_path, 'T_K;sigma (mS/cm);error\n' + rows(T, sigma, 0.1 * sigma, separator=';'))
    for key in ('activation_energy_eV', 'activation_energy_error_eV', 'conductivity_mS_cm'):
        assert found[key] == pytest.approx(expected[key], rel=1e-4)
    assert found['activation_energy_eV'] == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize(
    ('header', 'expected'),
    [
        ('T', ('temperature', False, None)),
        ('T/K', ('temperature', False, 1.0)),
        ('Temperature (°C)', ('temperature', False, 1.0)),
        ('1000/T (1/K)', ('inverse temperature', False, 1.0)),
        ('D* (cm²/s)', ('diffusivity', False, 1.0)),
        ('D (10^-5 cm^2 s^-1)', ('diffusivity', False, 1e-5)),
        ('D [m^2/s]', ('diffusivity', False, 1e4)),
        ('tracer_diffusivity_cm2_s_error', ('diffusivity', True, 1.0)),
        ('dD', ('diffusivity', True, None)),
        ('D_err (Å²/ps)', ('diffusivity', True, 1e-4)),
        ('Ionic conductivity (S cm-1)', ('conductivity', False, 1e3)),
        ('σ / µS cm⁻¹', ('conductivity', False, 1e-3)),
        ('± σ (mS/cm)', ('conductivity', True, 1.0)),
        ('conductivity_error_mS_cm', ('conductivity', True, 1.0)),
        ('std', ('', True, None)),
    ],
)
def test_headers_are_recognised(header, expected):
    column = recognise(header)
    assert (column.kind, column.error) == expected[:2]
    assert column.factor == (expected[2] if expected[2] is None else pytest.approx(expected[2]))


@pytest.mark.parametrize(
    'header',
    [
        'log sigma (S/cm)',
        'log10 T (K)',
        'log10 (eV)',
        'Ea (eV)',
        'D (eV)',
        'sigma T (S K/cm)',
        'resistivity',
        'IC (Total)',
    ],
)
def test_other_headers_are_not(header):
    assert recognise(header) is None


@pytest.mark.parametrize(
    'text',
    [
        'T (K);D (cm2/s);error\n500;9,4e-7;1e-7\n600;3,0e-6;2e-7\n700;6,9e-6;3e-7\n',
        'T (K)\tD (cm2/s)\terror\n500\t9.4e-7\t1e-7\n600\t3.0e-6\t2e-7\n700\t6.9e-6\t3e-7\n',
        'T (K)  D (cm2/s)  error\n500  9.4e-7  1e-7\n600  3.0e-6  2e-7\n\n700 6.9e-6 3e-7\n',
        '# a remark\n# T_K D_cm2_s error\n500 9.4e-7 1e-7\n600 3.0e-6 2e-7\n700 6.9e-6 3e-7\n',
        '\ufeffT, D (cm2/s), error (cm2/s)\n500, 9.4e-7, 1e-7\n600, 3.0e-6, 2e-7\n700, 6.9e-6, 3e-7\n',
        'T (°C),D (m2/s),dD\n226.85,9.4e-11,1e-11\n326.85,3.0e-10,2e-11\n426.85,6.9e-10,3e-11\n',
        '1000/T,D (1e-6 cm2/s),dD\n2,.94,.1\n1.66666666667,3.0,.2\n1.42857142857,6.9,.3\n',
    ],
)
def test_every_notation_gives_the_same(tmp_path, text):
    path = tmp_path / 'table'
    path.write_text(text, encoding='utf8')
    table = read_measurements(path)
    assert table.temperatures == pytest.approx([500, 600, 700])
    assert table.values['diffusivity'] == pytest.approx([9.4e-7, 3.0e-6, 6.9e-6])
    assert table.errors['diffusivity'] == pytest.approx([1e-7, 2e-7, 3e-7])


def test_columns_are_named_on_the_command_line(tmp_path):
    text = 'a,b,c\n' + rows(T, D, 0.1 * D)
    answer, _ = run(tmp_path, text, '--columns', 'T (K),D (cm2/s),error')
    assert answer['activation_energy_eV'] == pytest.approx(0.3)
    bare, _ = run(tmp_path, rows(T, D, 0.1 * D), '--columns', 'T (K),D (cm2/s),error')
    assert bare['activation_energy_error_eV'] == answer['activation_energy_error_eV']


def test_undetermined_rows_are_skipped_and_counted(tmp_path):
    text = 'T,D,error,note\n400,null,nan,a\n450,,,b\n' + rows(T, D, 0.1 * D, T) + '900,<1e-4,,c\n'
    answer, output = run(tmp_path, text)
    assert answer['temperatures_K'] == T.tolist()
    assert [each['line'] for each in answer['skipped']] == [2, 3, 8]
    assert answer['assumed_units'] == {'T': 'K', 'D': 'cm2/s'}
    assert answer['ignored_columns'] == ['note']
    assert all(f'line {line} ' in output for line in (2, 3, 8))


def test_a_vtf_conductor_is_recognised_and_a_line_is_not_taken_for_one(tmp_path):
    t = np.array([270.0, 285, 300, 320, 340, 360])
    curve = np.exp(-700 / (t - 180))
    answer, output = run(tmp_path, 'T,D,error\n' + rows(t, curve, 0.02 * curve))
    vtf = answer['vtf']
    assert vtf['preferred'] is True
    assert vtf['T0_K'] == pytest.approx(180, abs=0.1)
    assert vtf['B_K'] == pytest.approx(700, rel=0.01)
    assert vtf['aic_difference'] > 10
    assert vtf['diffusivity_cm2_s'] == pytest.approx(np.exp(-700 / 120), rel=0.01)
    assert 'T0 = ' in output
    line = np.exp(-3000 / t)
    answer, _ = run(tmp_path, 'T,D,error\n' + rows(t, line, 0.02 * line))
    assert answer['vtf']['preferred'] is False
    assert answer['bent'] is False


@pytest.mark.parametrize('name', ['a.png', 'a.svg', 'a.pdf', 'a.jpg'])
def test_the_plot_is_drawn(tmp_path, name):
    run(tmp_path, 'T,D\n' + rows(T, D), '--plot', tmp_path / name)
    start = {'png': b'\x89PNG', 'svg': b'<?xml', 'pdf': b'%PDF', 'jpg': b'\xff\xd8'}[name[2:]]
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('kelvin,value\n1,2\n', ('kelvin', 'value', '--columns')),
        ('T,Ea\n1,2\n', ('T, Ea', '--columns')),
        ('T,sigma\n500,1\n600,2\n700,3\n', ('sigma', 'mS/cm')),
        ('T,D,error\n500,x,1\n', ("'x'", 'Line 2')),
        ('T,D,error\n500,1,1\n600,1,1\n', ('2 temperatures',)),
        ('T,D,error\n500,1,1\n600,-1,1\n700,1,1\n', ('Line 3', '-1')),
        ('T,D,error\n500,1,0\n600,1,1\n700,1,1\n', ('Line 2', 'error')),
        ('T,D,error\n500,1\n', ('Line 2', '2 entries')),
        ('T;D\n1,000;1,200\n', ("'1,000'",)),
        ('T;D\n500;1,2\n600;1.3\n', ("'1,2'",)),
        ('500,1,1\n600,2,1\n', ('--columns',)),
        ('T,D,error,std\n500,1,1,1\n', ('error, std',)),
        ('', ('table',)),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, named):
    (tmp_path / 'table').write_text(text)
    result = CliRunner().invoke(arrhenius, [str(tmp_path / 'table')])
    assert result.exit_code == 2, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert all(name in message for name in named), message


@pytest.mark.parametrize(
    ('value', 'error', 'shown'),
    [
        (0.25678, 0.0123, '0.257 ± 0.012'),
        (1649.3, 113.0, '1649 ± 113'),
        (2.0417e-4, 3.8e-6, '2.042e-4 ± 0.038e-4'),
        (0.0, 0.5, '0.00 ± 0.50'),
    ],
)
def test_as_many_digits_as_the_error_allows(value, error, shown):
    assert with_error(value, error) == shown
