"""`aiida-dpasse dope`: what is printed without a profile, and what is stored with one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from aiida import orm
from click.testing import CliRunner

from aiida_dpasse.cli.main import cli
from aiida_dpasse.structures.prototypes import argyrodite

pytestmark = pytest.mark.usefixtures('aiida_profile')
CHLORIDE = ('K3SbS4', '--substitute', 'S=Cl:1/32', '--compensate', 'K')


def run(*words: object, status: int = 0) -> str:
    """Call the command and return what it printed."""
    result = CliRunner().invoke(cli, ['dope', *(str(word) for word in words)])
    assert result.exit_code == status, result.output
    return result.output


def stored(output: str) -> list[orm.StructureData]:
    """The nodes that the command says it has stored."""
    return [orm.load_node(int(line.split()[-1])) for line in output.splitlines() if line.startswith('stored as')]


def test_a_dry_run_stores_nothing():
    before = orm.QueryBuilder().append(orm.StructureData).count()
    output = run(*CHLORIDE, '--number', 3, '--dry-run')
    assert 'doped cell         1x2x2, K23 Sb8 S31 Cl1, 63 atoms' in output
    assert '  S                S32 becomes Cl1 S31, on 32 sites' in output
    assert '  K                K24 becomes K23, on 24 sites' in output
    assert 'charge             0 with Sb +5, S -2, Cl -1, K +1' in output
    assert 'arrangements       768, 14 of which differ by symmetry; cells enumerated' in output
    assert output.count('equivalent arrangements, weight') == 3
    assert orm.QueryBuilder().append(orm.StructureData).count() == before


def test_cells_are_stored_in_a_group_with_their_host():
    nodes = stored(run(*CHLORIDE, '--number', 2, '--label', 'kss', '--group', 'doped'))
    assert [node.label for node in nodes] == ['kss_0', 'kss_1']
    assert {node.uuid for node in orm.load_group('doped').nodes} == {node.uuid for node in nodes}
    [creator] = {node.creator.uuid for node in nodes}
    inputs = orm.load_node(creator).inputs
    assert inputs.structure.label == 'K3SbS4'
    assert 'I-43m' in inputs.structure.description
    assert inputs.parameters['substitute'] == ['S=Cl:1/32']
    # Without a group, the label names it.
    [node] = stored(run(*CHLORIDE, '--label', 'alone'))
    assert {each.uuid for each in orm.load_group('alone').nodes} == {node.uuid}


def test_exchange_in_a_stored_argyrodite():
    crystal = orm.StructureData(pymatgen=argyrodite('Cl')).store()
    listed = run(crystal.pk)
    assert '16 sites, 16e, bonded to P' in listed
    assert 'doped cell' not in listed
    [node] = stored(run(crystal.pk, '--exchange', '4a:4c=0.5'))
    assert node.creator.inputs.structure.uuid == crystal.uuid
    assert node.get_composition() == {'Li': 24, 'P': 4, 'S': 20, 'Cl': 4}


def test_places_charges_and_supercells():
    output = run('Li6PS5Cl', '--substitute', 'P=Si:1', '--compensate', 'Li', '--place', 0.5, 0.5, 0.75, '-n')
    assert '  interstitial     empty becomes Li1' in output
    output = run('LiCl', '--substitute', 'Cl=Br:1', '--charge', 'Br=-1', '--supercell', 2, 1, 1, '-n')
    assert '2x1x1, Li8 Br1 Cl7, 16 atoms' in output


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (('nothing', '-n'), 'neither a prototype nor a structure nothing'),
        (('K3SbS4', '--substitute', 'S=Cl:0.03', '--compensate', 'K', '-n'), '1/32 instead of S=Cl:0.03'),
        (('K3SbS4', '--substitute', 'S=Cl:1', '-n'), 'for example by K'),
        (('LiCl', '--substitute', 'Cl=Br:1', '--charge', 'Br', '-n'), 'the form KEY=VALUE'),
    ],
)
def test_refusals(words, sentence):
    result = CliRunner().invoke(cli, ['dope', *words])
    assert result.exit_code == 2
    assert sentence in ' '.join(result.output.split())


def test_prototypes_are_listed_without_a_profile(tmp_path):
    code = 'from aiida_dpasse.cli.main import cli; cli()'
    command = [sys.executable, '-W', 'ignore', '-c', code, 'dope', '--prototypes']
    output = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert 'Li3YCl6      P-3m1' in output
    assert 'A file is needed' in output
    assert 'Li7PS6' in output
