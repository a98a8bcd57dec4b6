"""`aiida-dpasse doctor` with the real programs: what runs, in which way, and what does not."""

from __future__ import annotations

import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_dpasse.calculations.ways import WAYS_EXTRA
from aiida_dpasse.cli.main import cli
from aiida_dpasse.cli.programs import Program
from aiida_dpasse.cli.setup import keep_ways, local_computer, register


def _rows(program: str, backend: str, speeds: dict[tuple[int, int], float]) -> list[dict]:
    return [
        {'program': program, 'backend': backend, 'processes': ranks, 'threads': threads, 'speed': speed}
        | {'unit': 'katom-step/s', 'error': None}
        for (ranks, threads), speed in speeds.items()
    ]


@pytest.mark.usefixtures('aiida_profile')
def test_doctor_runs_a_job_of_each_kind_in_its_way(programs: dict[str, Program]) -> None:
    """LAMMPS in two ranks with TensorFlow and in two threads with PyTorch; then the nodes are gone."""
    computer, _ = local_computer('ward')
    rows = _rows('lmp', 'tensorflow', {(1, 1): 30.0, (1, 2): 27.0, (2, 1): 54.0})
    rows += _rows('lmp', 'pytorch', {(1, 1): 7.0, (1, 2): 9.0, (2, 1): 8.0})
    for program in programs.values():
        code, _ = register(program, computer)
        keep_ways(code, 2, rows)
    before = orm.QueryBuilder().append(orm.Node).count()
    result = CliRunner().invoke(cli, ['doctor', '--computer', 'ward'], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    table = [line.split() for line in result.output.splitlines() if '@ward' in line]
    assert [(line[0], *line[-5:]) for line in table] == [
        ('dp@ward', 'training,', 'tensorflow', '1', 'thread', 'ran'),
        ('dp@ward', 'training,', 'pytorch', '1', 'thread', 'ran'),
        ('lmp@ward', 'dynamics,', 'tensorflow', '2', 'ranks', 'ran'),
        ('lmp@ward', 'dynamics,', 'pytorch', '2', 'threads', 'ran'),
        ('python@ward', 'labels,', 'sevennet-l3i5', '1', 'thread', 'ran'),
    ]
    assert programs['dp'].version in result.output
    assert 'Measured by `setup --threads 2`' in result.output
    assert 'All is well.' in result.output
    assert orm.QueryBuilder().append(orm.Node).count() == before


@pytest.mark.usefixtures('aiida_profile')
def test_doctor_names_what_fails(programs: dict[str, Program], tmp_path) -> None:
    """One program that ends at once, one that the `mpirun` of the computer starts wrongly, and one that is missing."""
    computer, _ = local_computer('sick')
    script = tmp_path / 'dp'
    script.write_text(
        '#!/bin/bash\necho "Traceback (most recent call last):"\necho "ImportError: no torch" >&2\nexit 1\n'
    )
    script.chmod(0o755)
    broken = Program('dp', str(script), '3.2.0', {'deepmd-kit': '3.2.0'})
    register(broken, computer)
    result = CliRunner().invoke(cli, ['doctor', '--computer', 'sick'], catch_exceptions=False)
    assert result.exit_code == 1
    table = [line.split() for line in result.output.splitlines() if line.startswith('dp@sick') and 'training' in line]
    assert [line[-1] for line in table[:2]] == ['failed', 'failed']
    assert 'dp@sick, training, tensorflow: ' in result.output
    assert 'lmp@sick is not registered: run `aiida-dpasse setup --computer sick`.' in result.output
    assert 'measures what is faster on N cores' in result.output
    # The failed jobs stay, to be looked at.
    found = orm.QueryBuilder().append(orm.Computer, filters={'label': 'sick'}, tag='computer')
    assert found.append(orm.CalcJobNode, with_computer='computer').count() == 2


@pytest.mark.usefixtures('aiida_profile')
def test_doctor_without_programs() -> None:
    result = CliRunner().invoke(cli, ['doctor', '--computer', 'unknown'])
    assert result.exit_code == 2
    assert 'run `aiida-dpasse setup --computer unknown`' in result.output
    local_computer('empty')
    result = CliRunner().invoke(cli, ['doctor', '--computer', 'empty'])
    assert result.exit_code == 2
    assert '`empty` has no programs' in result.output
    assert WAYS_EXTRA not in result.output
