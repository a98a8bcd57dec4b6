"""`aiida-dpasse launch`: inputs from the command line, the plan, and what is refused."""

from __future__ import annotations

import re

import pytest
from aiida import orm
from click.testing import CliRunner, Result

from aiida_dpasse.cli.launch import amount, given_inputs, label_of, nested
from aiida_dpasse.cli.main import cli
from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.dynamics.conductivity import ConductivityWorkChain
from aiida_dpasse.study.expected_work import Work, work_of
from aiida_dpasse.study.rates import CALCULATORS, Rate, agrees, core_hours


def launch(*words: str) -> Result:
    """Run the command with the test's codes."""
    return CliRunner().invoke(cli, ['launch', *words, '--dry-run'], catch_exceptions=False)


@pytest.fixture
def programs_of_the_test(codes) -> tuple[str, ...]:
    """Options that name the codes by PK: other tests store codes with the same labels."""
    return tuple(word for name in ('lmp', 'python') for word in ('--code', f'{name}={codes[name].pk}'))


def test_settings_are_nested():
    """Keys are paths and values are YAML; a value above another is refused."""
    assert nested({'md.steps': '50000', 'md.watch.heating': '0.5', 'temperatures': '[500, 600]', 'trust': 'null'}) == {
        'md': {'steps': 50000, 'watch': {'heating': 0.5}},
        'temperatures': [500, 600],
        'trust': None,
    }
    for settings in ({'md': '1', 'md.steps': '2'}, {'md.steps': '2', 'md': '1'}, {'temperatures': '[500'}):
        with pytest.raises(Refusal):
            nested(settings)


def test_labels_of_nodes(copper):
    """The label of the file, without what a link label cannot contain; otherwise the formula."""
    structure = copper.clone()
    assert label_of(structure) == structure.get_formula()
    structure.label = 'Li6PS5Cl (50 %).cif'
    assert label_of(structure) == 'Li6PS5Cl__50'


def test_the_plan_counts_the_runs(programs_of_the_test, crystal, tiny_potential):
    """Two temperatures, three replicas, 2 x 1 x 1 cells: as the inputs of the chain say."""
    settings = {'temperatures': '[500, 600]', 'supercell': '[2, 1, 1]', 'md.steps': '1000', 'precision': 'null'}
    words = [word for key, value in settings.items() for word in ('--set', f'{key}={value}')]
    result = launch(
        'conductivity',
        *('--protocol', 'demo', '--computer', 'nowhere', *programs_of_the_test),
        *('--structure', f'cell={crystal.pk}', '--potential', str(tiny_potential.pk), *words),
    )
    assert result.exit_code == 0, result.output
    atoms = 2 * len(crystal.sites)
    [row] = re.findall(r'^md +lmp +(\d+) +(\S+) k atom-steps', result.output, re.MULTILINE)
    assert row[0] == '6'
    assert float(row[1]) == pytest.approx(6 * atoms * 1500 / 1000, rel=0.005)
    assert re.search(r'^transport +python +6', result.output, re.MULTILINE)


def test_inputs_come_as_given(codes, crystal, tiny_potential):
    """A builder is turned back into the ports that are set."""
    builder = ConductivityWorkChain.get_builder_from_protocol(
        {name: codes[name] for name in ('lmp', 'python')},
        protocol='demo',
        structures={'cell': crystal},
        potential=tiny_potential,
    )
    given = given_inputs(builder)
    assert given['structures'] == {'cell': crystal}
    assert sorted(given['codes']) == ['lmp', 'python']
    assert 'committee' not in given
    settings = ConductivityWorkChain.PARAMETERS.model_validate(given['parameters'].get_dict())
    assert [work.jobs for work in work_of(settings, given)] == [9, 9]


@pytest.mark.parametrize(
    'words',
    [
        ('conductivities',),
        ('md.base',),
        ('conductivity', '--structure', 'nowhere'),
        ('conductivity', '--structure', '{crystal}', '--structure', '{crystal}'),
        ('conductivity', '--frames', '{crystal}'),
        ('conductivity', '--input', 'teacher={potential}'),
        ('conductivity', '--input', 'potential'),
        ('conductivity', '--potential', '{potential}', '--input', 'potential={potential}'),
        ('conductivity', '--potential', '{potential}', '--input', 'potential.more={potential}'),
        ('conductivity', '--code', 'cp2k=cp2k@localhost'),
        ('conductivity', '--structure', '{crystal}'),
        ('conductivity', '--structure', '{crystal}', '--potential', '{potential}', '--set', 'md.step=5'),
        ('conductivity', '--structure', '{crystal}', '--potential', '{potential}', '--protocol', 'none'),
        ('conductivity', '--structure', '{crystal}', '--potential', '{potential}', '--options', 'none'),
        ('conductivity', '--structure', '{potential}', '--potential', '{crystal}'),
    ],
)
def test_what_is_refused(words, programs_of_the_test, crystal, tiny_potential):
    """One line, and nothing is stored."""
    before = orm.QueryBuilder().append(orm.ProcessNode).count()
    nodes = {'crystal': crystal.pk, 'potential': tiny_potential.pk}
    given = programs_of_the_test if words[0] == 'conductivity' else ()
    result = launch(*(word.format(**nodes) for word in words), '--computer', 'nowhere', *given)
    assert result.exit_code == 2, result.output
    assert result.output.startswith('Error: ')
    assert orm.QueryBuilder().append(orm.ProcessNode).count() == before


def test_core_hours():
    """The median of equal descriptors; those of other sizes do not count."""
    small, large = {'type': 'dpa2', 'repformer': {'nlayers': 2}}, {'type': 'dpa2', 'repformer': {'nlayers': 12}}
    rates = [Rate('lmp', {**small, 'ntypes': 4}, 'atom-steps', value) for value in (1.0, 3.0, 2.0)]
    rates.append(Rate('lmp', large, 'atom-steps', 100.0))
    assert core_hours(Work('md', 'lmp', small, 1, 3600, 'atom-steps'), rates) == 2.0
    assert core_hours(Work('md', 'lmp', large, 1, 3600, 'atom-steps'), rates) == 100.0
    assert core_hours(Work('train', 'dp', small, 1, 3600, 'steps'), rates) is None
    assert core_hours(Work('label', 'python', 'chgnet', 1, 3600, 'atom-labels'), rates) == CALCULATORS['chgnet']
    assert core_hours(Work('transport', 'python', 'transport', 9), rates) == 0.0
    assert agrees({'type': 'se_e2_a', 'sel': 'auto', 'seed': 1}, {'type': 'se_e2_a', 'sel': [40, 8], 'seed': 2})
    assert not agrees('', '')
    assert (amount(12_300), amount(1.5e9), amount(12)) == ('12.3 k', '1.5 G', '12')
