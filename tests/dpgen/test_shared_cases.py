"""Public inputs of DP-GEN that were converted wrongly, and hostile ones, where the folder `shared` stands beside this
repository: `shared/cases/files` and `shared/cases/hostile` say what is right.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_dpasse.cli.dpgen import convert
from aiida_dpasse.dpgen.param import describe, read_dpgen
from aiida_dpasse.vasp.incar import label_incar

CASES = Path(__file__).parents[3] / 'shared' / 'cases'
FILES, HOSTILE = CASES / 'files', CASES / 'hostile' / 'dpgen'
pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason='the shared cases are not beside this repository')


def test_directives_stand_before_commands():
    folder = FILES / 'dpgen_gpu_flag_order'
    train = read_dpgen(folder / 'param.json', folder / 'machine.json').options['train']
    assert train['custom_scheduler_commands'].splitlines() == ['#SBATCH --exclusive', '#SBATCH --gres=gpu:1']
    assert train['prepend_text'] == 'conda activate deepmd'


def test_launchers_keep_their_numbers():
    folder = FILES / 'dpgen_mpirun_np'
    options = read_dpgen(folder / 'param.json', folder / 'machine.json').options
    assert [options[name]['resources']['num_mpiprocs_per_machine'] for name in ('train', 'md', 'vasp')] == [1, 4, 16]


def test_a_lower_trust_level_of_zero():
    assert read_dpgen(FILES / 'dpgen_trust_zero' / 'param.json').overrides['explore']['trust']['low'] == 0.0


def test_constant_volume_stays():
    stages = read_dpgen(FILES / 'dpgen_nvt_to_npt' / 'param.json').overrides['stages']
    assert [stage['ensemble'] for stage in stages] == ['npt'] * 7 + ['nvt'] * 3
    assert {max(stage['temperatures']) for stage in stages[7:]} == {1000}


def test_yaml():
    folder = FILES / 'dpgen_yaml'
    found = read_dpgen(folder / 'param.yaml', folder / 'machine.yaml')
    assert (found.type_map, found.overrides['explore']['max_candidates'], found.labeller) == (['Na'], 20, None)
    assert 'calculator' in found.to_do
    with pytest.raises(ValueError, match='`dpgen simplify`'):
        read_dpgen(folder / 'param_simplify.yaml')


def test_u_acts_on_iron():
    incar = read_dpgen(FILES / 'dpgen_ldau' / 'param.json').overrides['label']['vasp']['incar']
    tags = label_incar(incar, ['Fe'] * 4 + ['Li'] * 4 + ['O'] * 16 + ['P'] * 4)
    assert (tags['LDAUU'], tags['LDAUL'], tags['MAGMOM']) == ([4.3, 0, 0, 0], [2, -1, -1, -1], '4*5 4*0 16*0 4*0')


@pytest.mark.parametrize('name', ['deep', 'inf_incar', 'inf_loss', 'inf_models', 'inf_trust', 'nan_lr'])
def test_hostile_files_are_one_sentence(name):
    result = CliRunner().invoke(convert, [str(HOSTILE / f'{name}.json')])
    assert (result.exit_code, result.stdout) == (2, '')
    assert result.stderr.count('\n') == 1


@pytest.mark.parametrize('name', ['m_old_API_with_password', 'm_password_at_top'])
def test_no_password_is_shown(name):
    param = FILES / 'dpgen_trust_zero' / 'param.json'
    result = CliRunner().invoke(convert, [str(param), str(HOSTILE / f'{name}.json')])
    assert result.exit_code == 0, result.output
    assert 'secret' not in result.output.lower()
    found = read_dpgen(param, HOSTILE / f'{name}.json')
    assert 'secret' not in describe(found.unmatched).lower()
