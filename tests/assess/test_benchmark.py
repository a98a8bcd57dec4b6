"""Two tiny potentials in three cells, one of which is too much for one of them; and the table by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.assess.benchmark import BenchmarkWorkChain
from aiida_dpasse.assess.plan_benchmark import plan_benchmark
from aiida_dpasse.assess.tabulate_benchmark import tabulate_benchmark
from aiida_dpasse.cli.programs import prepend_text
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.runs import Runs

EXIT = BenchmarkWorkChain.exit_codes
PARAMETERS = {
    'atoms': [48, 10, 26],
    'ensemble': 'nvt',
    'temperature': 300,
    'timestep': 2.0,
    'warm_up_steps': 2,
    'steps': 10,
    'seed': 1,
}
#: Dies without a word, as of its memory, with more atoms than the potential of that name bears.
FRAGILE = """#!/bin/bash
atoms=$(sed -n 's/ atoms$//p' structure.data)
limit=40
grep -q potential_fragile "$2" && limit=20
[ "$atoms" -gt "$limit" ] && kill -KILL $$
exec {path} "$@"
"""


@pytest.fixture
def potentials(tiny_potentials):
    """Two potentials by other names."""
    return dict(zip(('fragile', 'sturdy'), tiny_potentials.values(), strict=True))


@pytest.fixture
def inputs(codes, crystal, potentials):
    """Inputs of the chain; keywords change its parameters."""

    def make(**changes):
        return {
            'codes': {'lmp': codes['lmp']},
            'structure': crystal,
            'potentials': potentials,
            'parameters': orm.Dict(PARAMETERS | changes),
        }

    return make


@pytest.fixture
def fragile_lmp(localhost, programs, tmp_path) -> orm.InstalledCode:
    """The real LMP, behind a script that kills itself in large cells."""
    script = tmp_path / 'lmp'
    script.write_text(FRAGILE.format(path=programs['lmp'].path))
    script.chmod(0o755)
    return orm.InstalledCode(
        computer=localhost,
        filepath_executable=str(script),
        label='fragile',
        prepend_text=prepend_text(programs['lmp'], 1),
    ).store()


def test_sizes_are_timed_and_one_that_fails_is_named(inputs, fragile_lmp, tmp_path):
    given = {
        **inputs(),
        'codes': {'lmp': fragile_lmp},
        'max_iterations': 1,
        'options': {'md': {'prepend_text': 'export SHOWN=1'}},
    }
    outputs, node = run_get_node(BenchmarkWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_RUNS_FAILED.status
    assert node.exit_message.startswith('3 of 6 ')
    assert '`fragile`' in node.exit_message
    assert orphans(node) == []

    found = outputs['speed'].get_dict()
    sizes = [(row['potential'], row['atoms'], row['wanted_atoms']) for row in found['rows']]
    assert sizes == [('fragile', 12, [10]), ('sturdy', 12, [10]), ('sturdy', 24, [26])]
    assert [(row['potential'], row['atoms']) for row in found['failed']] == [('fragile', 24), ('sturdy', 48)]
    assert all('Killed' in row['reason'] for row in found['failed'])
    [skipped] = found['skipped']
    assert (skipped['potential'], skipped['atoms']) == ('fragile', 48)
    assert '24 atoms' in skipped['reason']

    runs = sorted(
        (child for child in node.called_descendants if isinstance(child, orm.CalcJobNode)), key=lambda run: run.pk
    )
    names = [run.caller.base.links.get_incoming(node_class=orm.WorkChainNode).one().link_label for run in runs]
    assert names == [
        'md_0000_fragile_n0',
        'md_0001_sturdy_n0',
        'md_0002_fragile_n1',
        'md_0003_sturdy_n1',
        'md_0005_sturdy_n2',
    ]
    # One after the other.
    assert all(after.ctime > before.mtime for before, after in pairwise(runs))
    by_label = dict(zip(names, runs, strict=True))
    for row, label in zip(found['rows'], ['md_0000_fragile_n0', 'md_0001_sturdy_n0', 'md_0003_sturdy_n1'], strict=True):
        warm_up, loop = by_label[label].outputs.results['loops']
        assert (warm_up['steps'], loop['steps'], row['steps'], row['processes']) == (2, 10, 10, 1)
        assert row['seconds'] == loop['seconds'] > 0
        assert row['katom_step_s'] == pytest.approx(row['atoms'] * row['steps'] / row['seconds'] / 1000)
        assert row['steps_s'] == pytest.approx(10 / row['seconds'])
        assert row['ns_day'] == pytest.approx(row['steps_s'] * 2e-6 * 86400)
        assert row['hours_million_steps'] == pytest.approx(1e6 * row['seconds'] / 10 / 3600)
        assert (row['backend'], row['form'], row['descriptor']) == ('tensorflow', 'frozen', 'se_e2_a')
        assert row['host']
        assert row['disturbed'] == (None if row['card'] else row['cpu_percent'] < 90)
    fragile, sturdy = found['fits']
    assert (fragile['sizes'], fragile['exponent']) == (1, None)
    assert sturdy['sizes'] == 2
    ratio = found['rows'][1]['steps_s'] / found['rows'][2]['steps_s']
    assert 2 ** sturdy['exponent'] == pytest.approx(ratio)

    text = report_text(node)
    assert 'katom-step/s' in text
    assert found['skipped'][0]['reason'] in text
    assert tmp_path / 'speed.png' in write_report(node, tmp_path)


def row_of(speed, atoms, steps=100):
    """Return results of `dpasse.md` with this speed in thousand atom steps a second."""
    seconds = atoms * steps / speed / 1000
    loop = {'first_step': 10, 'steps': steps, 'atoms': atoms, 'seconds': seconds, 'processes': 4, 'threads': 2}
    return orm.Dict(
        {
            'step': 10 + steps,
            'steps': 10 + steps,
            'production_start': 10,
            'error': None,
            'verdict': 'kept its limits',
            'reason': None,
            'timed_out': False,
            'loops': [{**loop, 'first_step': 0, 'steps': 10}, {**loop, 'cpu_percent': 180.0}],
        }
    )


def test_the_table_by_hand(crystal, potentials):
    plan = plan_benchmark(orm.Dict(PARAMETERS | {'atoms': [12, 96, 1000, '13']}), crystal, potentials=potentials)
    runs, sizes = Runs.from_dict(plan['runs'].get_dict()), plan['table']['sizes']
    turns = [(run.potential, run.size) for run in runs.values()]
    assert turns[:3] == [('fragile', 0), ('sturdy', 0), ('fragile', 1)]
    # 13 atoms are nearest to the cell of 12. 3 x 4 x 7 cells, 1008 atoms, would be nearer to 1000, and are long.
    assert [(size['atoms'], size['wanted_atoms']) for size in sizes] == [(12, [12, 13]), (96, [96]), (960, [1000])]
    assert plan['md']['s00']['seed'] != plan['md']['s01']['seed']
    sturdy_runs = runs.select(potential='sturdy')
    results = {run.id: row_of(10.0, sizes[run.size]['atoms']) for run in sturdy_runs}
    results['md_0000'] = row_of(5.0, 12)
    exploded = row_of(5.0, 96).get_dict() | {'verdict': 'exploded', 'step': 15, 'reason': 'Lost atoms'}
    results['md_0002'] = orm.Dict(exploded)
    found = tabulate_benchmark(plan['table'], plan['runs'], potentials=potentials, results=results).get_dict()
    assert [row['katom_step_s'] for row in found['rows']] == pytest.approx([5.0, 10.0, 10.0, 10.0])
    assert found['rows'][1]['disturbed'] is False
    assert 'step 15 of 110' in found['failed'][0]['reason']
    assert found['skipped'][0]['atoms'] == 960
    sturdy = found['fits'][1]
    assert sturdy['exponent'] == pytest.approx(1)
    assert sturdy['exponent_error'] == pytest.approx(0, abs=1e-6)
    assert (sturdy['saturated_katom_step_s'], sturdy['from_atoms']) == (pytest.approx(10), 12)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'supercells': [[1, 1, 1]]}, '`atoms`, `supercells`: '),
        ({'atoms': None}, '`atoms`, `supercells`: '),
        ({'atoms': [0]}, '`atoms.0`'),
        ({'warm_up_steps': 0}, '`warm_up_steps`'),
        ({'atoms': [1_000_000]}, 'parameters: 1000000 .*100000'),
        ({'atoms': None, 'supercells': [[0, 1, 1]]}, 'parameters: `supercells.0`'),
    ],
)
def test_impossible_comparisons_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(BenchmarkWorkChain, **inputs(**changes))


def test_a_potential_that_does_not_know_the_cell_is_refused(inputs, copper):
    with pytest.raises(ValueError, match=r'potentials\.fragile: '):
        run_get_node(BenchmarkWorkChain, **{**inputs(), 'structure': copper})
    with pytest.raises(ValueError, match='potentials, calculators: '):
        run_get_node(BenchmarkWorkChain, **{**inputs(), 'potentials': {}})


def test_a_calculator_beside_a_potential(codes, copper, copper_committee, tmp_path):
    """Both at the same sizes and steps, in one table."""
    given = {
        'codes': {name: codes[name] for name in ('lmp', 'python')},
        'structure': copper,
        'potentials': {'tiny': copper_committee.outputs.potentials['member_00']},
        'calculators': {'emt': orm.Dict({'name': 'emt'})},
        'parameters': orm.Dict(PARAMETERS | {'atoms': [32, 64]}),
    }
    outputs, node = run_get_node(BenchmarkWorkChain, **given)
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == []
    rows = {(row['potential'], row['atoms']): row for row in outputs['speed']['rows']}
    assert set(rows) == {(label, atoms) for label in ('tiny', 'emt') for atoms in (32, 64)}
    for (_, atoms), row in rows.items():
        assert row['steps'] == 10
        assert row['katom_step_s'] == pytest.approx(atoms * 10 / row['seconds'] / 1000)
    assert (rows['emt', 32]['backend'], rows['emt', 32]['descriptor'], rows['emt', 32]['host'] is None) == (
        'ASE',
        'emt',
        False,
    )
    assert [fit['potential'] for fit in outputs['speed']['fits']] == ['tiny', 'emt']
    assert tmp_path / 'speed.png' in write_report(node, tmp_path)


def test_a_calculator_that_cannot_be_timed_is_refused(inputs, codes):
    given = {**inputs(ensemble='npt'), 'calculators': {'emt': orm.Dict({'name': 'emt'})}}
    with pytest.raises(ValueError, match=r'codes\.python: '):
        run_get_node(BenchmarkWorkChain, **given)
    given['codes'] = {name: codes[name] for name in ('lmp', 'python')}
    with pytest.raises(ValueError, match='parameters: '):
        run_get_node(BenchmarkWorkChain, **given)
