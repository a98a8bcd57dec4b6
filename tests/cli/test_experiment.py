"""The command that looks up measured conductivities."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_dpasse.cli.experiment import experiment

PAGE = Path(__file__).parents[2] / 'docs' / 'experiment.md'


def run(tmp_path, formula):
    """Return the exit status, the output, and the content of the JSON file."""
    path = tmp_path / 'out.json'
    result = CliRunner().invoke(experiment, [formula, '--force', '--json', str(path)])
    return result.exit_code, result.output, json.loads(path.read_text()) if path.exists() else None


def test_samples_are_sorted_by_conductivity(tmp_path):
    status, output, numbers = run(tmp_path, 'Li24P4S20Cl4')
    assert status == 0
    assert [sample['conductivity'] for sample in numbers['samples']] == [2.05, 1.3, 0.033]
    assert numbers['measured_mS_cm'] == {'low': 0.033, 'high': 2.05, 'count': 3, 'exact': True}
    assert numbers['nearest'] == []
    assert output.index('10.1021/jacs.7b06327') < output.index('10.1002/pssa.201001117') < output.index('CC BY 4.0')


def test_a_composition_that_was_not_measured_has_neighbours(tmp_path):
    status, output, numbers = run(tmp_path, 'Li5.5PS4.5Cl1.5')
    assert (status, numbers['samples'], numbers['measured_mS_cm']) == (0, [], None)
    assert numbers['nearest'][0]['formula'] == 'Li6PS5Cl'
    assert numbers['nearest'][0]['distance'] == pytest.approx(0.046, abs=1e-3)
    assert 'Li6PS5Cl0.75Br0.25' in output


def test_no_formula_is_refused(tmp_path):
    status, output, numbers = run(tmp_path, 'argyrodite')
    assert (status, numbers) == (2, None)
    assert "'argyrodite'" in output


@pytest.mark.parametrize(
    ('command', 'shown'),
    re.findall(r'^\$ aiida-dpasse experiment (\S+)\n(.*?)(?=^\$|^```)', PAGE.read_text(), re.M | re.S),
)
def test_the_page_shows_what_the_command_prints(tmp_path, command, shown):
    assert run(tmp_path, command)[1].strip() == shown.strip()
