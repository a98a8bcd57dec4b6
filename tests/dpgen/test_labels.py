"""DP-GEN's labels as parameters of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiida_dpasse.base.protocols import PROTOCOLS
from aiida_dpasse.dpgen.cp2k import functional, kinds_of, settings
from aiida_dpasse.dpgen.keys import Keys, Ledger
from aiida_dpasse.dpgen.labels import OF_VASP, by_element, electrons, old_incar, parse_incar
from aiida_dpasse.dpgen.param import read_dpgen
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.label.vasp.chain import _objection_to_tags
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.vasp.incar import label_incar

FIXTURES = Path(__file__).parent / 'fixtures'
PARAM, MACHINE = FIXTURES / 'param.json', FIXTURES / 'machine.json'


def test_vasp_labels():
    """The INCAR's tags, VASP's own defaults where it is silent, KSPACING and POTCARs by name."""
    found = read_dpgen(PARAM, MACHINE)
    assert found.labeller == 'vasp'
    assert found.overrides['label'] == {
        'minimum_success': 0.8,
        'batch_size': 20,
        'vasp': {
            'incar': {
                **OF_VASP,
                'PREC': 'A',
                'ENCUT': 520,
                'EDIFF': 1e-6,
                'ALGO': 'F',
                'LREAL': False,
                'LWAVE': False,
                'ISMEAR': 0,
                'SIGMA': 0.05,
                'NELM': 120,
                'MAGMOM': {'Li': 0.6, 'S': 0.6},
            },
            'kpoints': {'spacing': 0.25, 'mesh': None},
            'potential_mapping': {'Li': 'Li_sv', 'S': 'S'},
        },
    }
    assert _objection_to_tags(found.overrides['label']['vasp']['incar'], ['Li', 'S']) is None


def test_no_tag_of_a_protocol_shines_through():
    """A functional or cutoff that the INCAR does not name is that of the POTCAR, not the protocol's."""
    own = ActiveLearningWorkChain.protocol_parameters('balanced')['label']['vasp']['incar']
    assert set(own) - {'LWAVE', 'LCHARG'} == set(OF_VASP)


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_cp2k_labels(changed, protocol):
    """Names of our own for what has one, the other sections as they are."""
    content = json.loads((FIXTURES / 'cp2k.json').read_text())
    found = changed(fp_style='cp2k', fp_incar=None, cvasp=None, fp_pp_files=None, fp_pp_path=None, **content)
    assert found.labeller == 'cp2k'
    assert found.overrides['label']['cp2k'] == {
        'functional': 'PBESOL',
        'cutoff': 600,
        'rel_cutoff': 50,
        'eps_default': 1e-13,
        'kpoints': None,
        'scf': {'solver': 'ot', 'eps': 1e-7, 'steps': 100, 'ot': {'MINIMIZER': 'DIIS'}},
        'kinds': {
            'Li': {'POTENTIAL': 'GTH-PBE-q3', 'BASIS_SET': 'DZVP-MOLOPT-SR-GTH'},
            'S': {'POTENTIAL': 'GTH-PBE-q6', 'BASIS_SET': 'TZVP-MOLOPT-GTH'},
        },
        'input': {
            'FORCE_EVAL': {
                'METHOD': 'QS',
                'DFT': {
                    'CHARGE': 0,
                    'MGRID': {'NGRIDS': 5},
                    'XC': {'VDW_POTENTIAL': {'POTENTIAL_TYPE': 'PAIR_POTENTIAL'}},
                },
            }
        },
    }
    assert sorted(entry.key for entry in found.unmatched if entry.key.startswith('user_fp_params')) == [
        'user_fp_params.FORCE_EVAL.DFT.BASIS_SET_FILE_NAME',
        'user_fp_params.FORCE_EVAL.STRESS_TENSOR',
        'user_fp_params.FORCE_EVAL.SUBSYS.CELL',
        'user_fp_params.GLOBAL.PROJECT',
    ]
    chain = ActiveLearningWorkChain
    parameters = found.complete(chain.protocol_parameters(protocol, found.overrides))
    assert check_parameters(chain.PARAMETERS, parameters) is None


def test_other_sections_of_cp2k():
    """Diagonalization, a mesh of k-points, and a functional without a name of ours."""
    given = {
        'FORCE_EVAL': {
            'DFT': {
                'KPOINTS': {'SCHEME': 'MONKHORST-PACK 2 2 1'},
                'SCF': {'MIXING': {'ALPHA': 0.2}, 'ADDED_MOS': 20},
                'XC': {'XC_FUNCTIONAL': {'_': 'BLYP'}},
            },
            'SUBSYS': {'KIND': {'_': 'Li', 'POTENTIAL': 'GTH-PBE-q3', 'BASIS_SET': 'DZVP-MOLOPT-SR-GTH'}},
        }
    }
    found = settings(given, 'user_fp_params', Ledger())
    assert found['kpoints'] == {'mesh': [2, 2, 1], 'spacing': None}
    assert found['scf'] == {
        'solver': 'diagonalization',
        'eps': 1e-6,
        'steps': 50,
        'mixing': {'ALPHA': 0.2},
        'added_orbitals': 20,
    }
    assert found['functional'] is None
    assert found['input']['FORCE_EVAL']['DFT']['XC'] == {'XC_FUNCTIONAL': {'_': 'BLYP'}}
    assert functional({'_': 'PBE'}) == functional({'PBE': {}}) == 'PBE'
    with pytest.raises(ValueError, match=r'`user_fp_params\.FORCE_EVAL\.SUBSYS\.KIND`'):
        kinds_of(None, 'user_fp_params')
    with pytest.raises(ValueError, match=r'KIND\.POTENTIAL`.* 2 '):
        kinds_of({'_': ['Li', 'S'], 'POTENTIAL': ['GTH-PBE-q3']}, 'user_fp_params')


def test_other_programs_that_label(changed):
    """They are reported with their settings; the rest is converted."""
    found = changed(fp_style='gaussian', fp_params={'keywords': 'force b3lyp/6-31g**', 'nproc': 4})
    assert found.labeller is None
    assert found.overrides['label'] == {'minimum_success': 0.8}
    assert {'fp_style', 'fp_params', 'fp_incar'} <= {entry.key for entry in found.unmatched}


IRON = {'type_map': ['Li', 'Fe', 'P', 'O'], 'fp_incar': None}
PLUS_U = {'encut': 520, 'kspacing': 0.3, 'LDAUL': '-1 2 -1 -1', 'LDAUU': [0, 4.3, 0, 0]}


def test_tags_of_single_elements_follow_the_type_map(changed):
    """DP-GEN's U of Fe is given by element: the atoms of our POSCAR are sorted, and it acted on Li."""
    found = changed(**IRON, user_fp_params={**PLUS_U, 'magmom': '4*0 4*5 4*0 16*0'}, sys_configs_prefix='nowhere')
    incar = found.overrides['label']['vasp']['incar']
    assert incar['LDAUU'] == {'Li': 0, 'Fe': 4.3, 'P': 0, 'O': 0}
    assert incar['LDAUL'] == {'Li': -1, 'Fe': 2, 'P': -1, 'O': -1}
    assert incar['MAGMOM'] == {'Li': 0, 'Fe': 5, 'P': 0, 'O': 0}
    # Without a structure the groups of atoms are a guess, which is told.
    assert [entry.key for entry in found.unmatched if 'fp_params' in entry.key] == ['user_fp_params.MAGMOM']
    assert found.to_do['label.vasp.incar.MAGMOM'].startswith('Check')
    symbols = ['Fe'] * 4 + ['Li'] * 4 + ['O'] * 16 + ['P'] * 4
    tags = label_incar(incar, symbols)
    assert (tags['LDAUU'], tags['LDAUL'], tags['MAGMOM']) == ([4.3, 0, 0, 0], [2, -1, -1, -1], '4*5 4*0 16*0 4*0')


def test_moments_of_atoms_fit_the_structures(changed):
    """They are given by element where the atoms of an element are alike, else left out and named."""

    def told(incar, type_map, cells=()):
        ledger = Ledger()
        return by_element(incar, 'fp_incar', type_map, cells, ledger), [entry.key for entry in ledger.unmatched]

    incar = {'MAGMOM': '2*5 2*-5 4*0', 'LDAUU': 4.0, 'NELECT': 70}
    found = told(incar, ['Fe', 'Mn', 'O'], [{'Fe': 2, 'Mn': 2, 'O': 4}])
    assert found == ({'MAGMOM': {'Fe': 5, 'Mn': -5, 'O': 0}}, ['fp_incar.LDAUU', 'fp_incar.NELECT'])
    assert told({'MAGMOM': '2*5 2*-5 4*0'}, ['Fe', 'O'], [{'Fe': 4, 'O': 4}]) == ({}, ['fp_incar.MAGMOM'])
    assert told({'MAGMOM': [5, 5, 0]}, ['Fe', 'O'], [{'Fe': 2, 'O': 2}]) == ({}, ['fp_incar.MAGMOM'])
    assert told({'MAGMOM': '1 1'}, ['Fe']) == ({'MAGMOM': {'Fe': 1}}, [])
    assert told({'LDAUU': {'Fe': 4.0}}, ['Fe', 'O']) == ({'LDAUU': {'Fe': 4.0}}, [])
    assert told({'MAGMOM': '0 0 5', 'LSORBIT': True}, ['Fe']) == ({'LSORBIT': True}, ['fp_incar.MAGMOM'])
    # The fixture's structure: two Li and one S.
    found = changed(fp_incar=None, sys_configs=[['a/POSCAR'], [], []], user_fp_params={'MAGMOM': '2*0 3'})
    assert found.overrides['label']['vasp']['incar']['MAGMOM'] == {'Li': 0, 'S': 3}


def test_what_is_left_to_be_given(changed):
    """Settings without which the labels would be others than those of DP-GEN."""
    assert sorted(read_dpgen(PARAM).to_do) == ['label.vasp.potential_family']
    found = changed(fp_incar='none', fp_pp_path='nowhere')
    names = ('incar', 'kpoints', 'potential_family', 'potential_mapping')
    assert sorted(found.to_do) == [f'label.vasp.{name}' for name in names]
    # Without its numbers VASP would take U = 1 eV for every element.
    found = changed(**IRON, user_fp_params={**PLUS_U, 'LDAUU': 4.3, 'nelect': 70})
    assert [place for place in found.to_do if 'incar' in place] == [
        f'label.vasp.incar.{tag}' for tag in ('LDAUU', 'NELECT')
    ]
    assert sorted(changed(fp_style='pwscf').to_do) == ['calculator']
    assert sorted(changed(fp_style='cp2k', external_input_path='cp2k.inp').to_do) == ['label.cp2k']


def test_the_program_of_the_gamma_point_keeps_its_mesh(tmp_path):
    """`vasp_gam` computes no other, and is the code's name."""
    machine = tmp_path / 'machine.json'
    machine.write_text('{"fp": {"command": "srun /opt/vasp_gam"}}')
    found = read_dpgen(PARAM, machine)
    assert found.overrides['label']['vasp']['kpoints'] == {'mesh': [1, 1, 1], 'spacing': None}
    assert found.executables == {'vasp': 'vasp_gam'}


def test_few_settings_of_vasp():
    """`fp_params` are made into the tags that DP-GEN makes of them."""
    ledger = Ledger()
    given = {'ecut': 400, 'ediff': 1e-6, 'npar': 4, 'kpar': 1, 'kspacing': 0.5, 'smearing': 'mp:2', 'sigma': 0.1}
    tags = old_incar(Keys({**given, 'metagga': 'SCAN'}, ledger, 'fp_params.'))
    assert tags['KSPACING'] == 0.5
    assert (tags['ENCUT'], tags['ISMEAR'], tags['SIGMA'], tags['METAGGA'], tags['LASPH']) == (400, 2, 0.1, 'SCAN', True)
    assert ledger.unmatched == []
    with pytest.raises(ValueError, match=r'`fp_params\.ecut`'):
        old_incar(Keys({}, ledger, 'fp_params.'))


def test_which_settings_of_vasp_count(changed):
    """`fp_incar` before `user_fp_params` before `fp_params`, as with DP-GEN."""
    found = changed(fp_incar=None, user_fp_params={'encut': 450, 'KSPACING': 0.4, 'KGAMMA': False}, fp_params={})
    vasp = found.overrides['label']['vasp']
    assert (vasp['incar']['ENCUT'], vasp['kpoints']['spacing']) == (450, 0.4)
    assert {'fp_params', 'user_fp_params.KGAMMA'} <= {entry.key for entry in found.unmatched}
    found = changed(user_fp_params={'encut': 450})
    assert found.overrides['label']['vasp']['incar']['ENCUT'] == 520
    assert 'user_fp_params' in {entry.key for entry in found.unmatched}


def test_which_settings_of_cp2k_count(changed):
    """Those of the file take precedence over a separate input file, which is not read."""
    content = json.loads((FIXTURES / 'cp2k.json').read_text())
    found = changed(fp_style='cp2k', external_input_path='cp2k.inp', fp_params={}, **content)
    assert found.overrides['label']['cp2k']['cutoff'] == 600
    assert {'external_input_path', 'fp_params', 'fp_incar'} <= {entry.key for entry in found.unmatched}
    found = changed(fp_style='cp2k', external_input_path='cp2k.inp')
    assert found.overrides['label'] == {'minimum_success': 0.8}
    assert 'external_input_path' in {entry.key for entry in found.unmatched}


def test_incar():
    text = 'ENCUT = 600 # eV\nLORBIT=11;LASPH= .TRUE.\nGGA = PS\n! NSW = 3\nALGO = T\nROPT = 1E-3 1d-3\nIVDW = 12\n'
    assert parse_incar(text) == {
        **{'ENCUT': 600, 'LORBIT': 11, 'LASPH': True, 'GGA': 'PS', 'ALGO': 'T', 'ROPT': [1e-3, 1e-3], 'IVDW': 12}
    }
    ledger = Ledger()
    assert electrons({'NSW': 0, 'IBRION': 2, 'ENCUT': 600}, 'fp_incar', ledger) == {'ENCUT': 600}
    assert [entry.key for entry in ledger.unmatched] == ['fp_incar.IBRION']
