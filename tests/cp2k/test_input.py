"""CP2K's input: what labelling needs is always there, and the user's sections are laid over the rest."""

from __future__ import annotations

import pytest

from aiida_dpasse.cp2k.input import dynamics_motion, label_input, missing_kinds, reference_motion, temperature_at

KINDS = {
    'Li': {'BASIS_SET': 'DZVP-MOLOPT-SR-GTH', 'POTENTIAL': 'GTH-PBE-q3'},
    'S': {'BASIS_SET': 'DZVP-MOLOPT-SR-GTH', 'POTENTIAL': 'GTH-PBE-q6'},
}
SETTINGS = {'cutoff': 500, 'rel_cutoff': 60, 'kinds': KINDS}
DYNAMICS = {'temperature': 300.0, 'steps': 20, 'interval': 5, 'timestep': 1.0, 'friction': 0.02}


def test_given_frames_follow_a_trajectory_each_from_its_own_guess():
    given = label_input(['Li', 'S'], SETTINGS, frames=7)
    motion = given['MOTION']['MD']
    assert (motion['ENSEMBLE'], motion['STEPS'], motion['REFTRAJ']['LAST_SNAPSHOT']) == ('REFTRAJ', 7, 7)
    # Without the second, CP2K 2023.1 writes zeros.
    assert motion['REFTRAJ']['EVAL_ENERGY_FORCES'] == motion['REFTRAJ']['EVAL_FORCES'] == '.TRUE.'
    force = given['FORCE_EVAL']
    assert force['STRESS_TENSOR'] == 'ANALYTICAL'
    assert force['PRINT']['STRESS_TENSOR']['_'] == 'ON'
    assert force['DFT']['QS']['EXTRAPOLATION'] == 'USE_GUESS'
    assert force['DFT']['XC']['XC_FUNCTIONAL']['PBE']['PARAMETRIZATION'] == 'PBESOL'
    assert force['SUBSYS']['KIND'] == [{'_': 'Li', **KINDS['Li']}, {'_': 'S', **KINDS['S']}]
    assert 'KPOINTS' not in force['DFT']


def test_the_keywords_of_a_reference_trajectory_are_those_of_the_release():
    """2026.2 no longer takes the only ones that 2022 and 2023 know."""
    assert reference_motion(2, '2026.1') == reference_motion(2)
    section = reference_motion(2, '2026.2')['REFTRAJ']
    assert section['EVAL'] == 'ENERGY_FORCES'
    assert not [name for name in section if name.startswith('EVAL_')]
    for release in ('2021.1', '2026.3', 'new'):
        with pytest.raises(ValueError, match=release):
            reference_motion(2, release)


def test_keywords_of_a_kind_are_those_of_its_element():
    """Only elements of the frames have a section, with U and moment of their own."""
    iron = {**KINDS['Li'], 'MAGNETIZATION': 5, 'DFT_PLUS_U': {'L': 2, 'U_MINUS_J': '[eV] 4.0'}}
    given = label_input(['Fe', 'S'], {**SETTINGS, 'kinds': {**KINDS, 'Fe': iron}}, frames=1)
    assert given['FORCE_EVAL']['SUBSYS']['KIND'] == [{'_': 'Fe', **iron}, {'_': 'S', **KINDS['S']}]


def test_relaxation_ends_when_every_force_is_small():
    given = label_input(['Li'], SETTINGS, relaxation={'max_force': 0.01, 'steps': 30, 'cell': True})
    assert given['GLOBAL']['RUN_TYPE'] == 'CELL_OPT'
    motion = given['MOTION']['CELL_OPT']
    # Three components that CP2K lets pass make a force of at most 0.01 eV/A: 1.944e-4 Ha/bohr.
    assert motion['MAX_FORCE'] * 3**0.5 == pytest.approx(1.9447e-4, rel=1e-4)
    assert (motion['MAX_ITER'], motion['TYPE']) == (30, 'DIRECT_CELL_OPT')
    assert given['MOTION']['PRINT']['TRAJECTORY']['EACH'] == {'CELL_OPT': 1}
    still = label_input(['Li'], SETTINGS, relaxation={'max_force': 0.01, 'steps': 30, 'cell': False})
    assert still['GLOBAL']['RUN_TYPE'] == 'GEO_OPT'
    assert 'TYPE' not in still['MOTION']['GEO_OPT']


def test_own_sections_are_laid_over_all_but_what_labelling_needs():
    own = {
        'FORCE_EVAL': {'STRESS_TENSOR': 'NONE', 'DFT': {'UKS': '.TRUE.', 'MGRID': {'NGRIDS': 4}}},
        'GLOBAL': {'PREFERRED_DIAG_LIBRARY': 'SL', 'RUN_TYPE': 'ENERGY'},
    }
    given = label_input(['Li'], {**SETTINGS, 'input': own}, frames=1)
    assert given['FORCE_EVAL']['DFT']['UKS'] == '.TRUE.'
    assert given['FORCE_EVAL']['DFT']['MGRID'] == {'CUTOFF': 500, 'REL_CUTOFF': 60, 'NGRIDS': 4}
    assert given['FORCE_EVAL']['STRESS_TENSOR'] == 'ANALYTICAL'
    assert given['GLOBAL'] == {'PREFERRED_DIAG_LIBRARY': 'SL', 'RUN_TYPE': 'MD', 'PRINT_LEVEL': 'LOW'}


def test_another_functional_is_ones_own_section():
    own = {'FORCE_EVAL': {'DFT': {'XC': {'XC_FUNCTIONAL': {'_': 'PADE'}}}}}
    given = label_input(['Li'], {**SETTINGS, 'functional': None, 'input': own}, frames=1)
    assert given['FORCE_EVAL']['DFT']['XC'] == {'XC_FUNCTIONAL': {'_': 'PADE'}}


def test_kpoints_smearing_and_mixing():
    scf = {'steps': 90, 'mixing': {'ALPHA': 0.1}, 'smearing': 1000.0, 'added_orbitals': 12}
    given = label_input(['Li'], {**SETTINGS, 'scf': scf}, mesh=(2, 3, 1), frames=1)['FORCE_EVAL']['DFT']
    assert given['KPOINTS']['SCHEME'] == 'MONKHORST-PACK 2 3 1'
    assert given['SCF']['SMEAR'] == {'_': 'ON', 'METHOD': 'FERMI_DIRAC', 'ELECTRONIC_TEMPERATURE': 1000.0}
    assert given['SCF']['MIXING'] == {'METHOD': 'BROYDEN_MIXING', 'ALPHA': 0.1, 'NBROYDEN': 8}
    assert (given['SCF']['MAX_SCF'], given['SCF']['ADDED_MOS'], given['SCF']['EPS_SCF']) == (90, 12, 1e-6)
    assert 'OT' not in given['SCF']


@pytest.mark.parametrize(('steps', 'inner', 'outer'), [(15, 15, None), (20, 20, None), (21, 20, 1), (60, 20, 2)])
def test_orbital_transformation_counts_the_steps_of_both_loops(steps, inner, outer):
    scf = {'solver': 'ot', 'steps': steps, 'mixing': {'ALPHA': 0.1}, 'ot': {'MINIMIZER': 'DIIS'}}
    section = label_input(['Li'], {**SETTINGS, 'scf': scf}, frames=1)['FORCE_EVAL']['DFT']['SCF']
    # The outer loop's MAX_SCF counts its repetitions after the first.
    assert (section['MAX_SCF'], section.get('OUTER_SCF', {}).get('MAX_SCF')) == (inner, outer)
    assert section['OT'] == {'MINIMIZER': 'DIIS', 'PRECONDITIONER': 'FULL_SINGLE_INVERSE'}
    assert 'MIXING' not in section
    assert 'DIAGONALIZATION' not in section


def test_dynamics_is_heated_by_the_same_factor_at_each_step():
    assert 'TEMPERATURE_ANNEALING' not in dynamics_motion(DYNAMICS)
    heated = {**DYNAMICS, 'final_temperature': 1200.0}
    motion = label_input(['Li'], SETTINGS, dynamics=heated)['MOTION']['MD']
    assert (motion['ENSEMBLE'], motion['LANGEVIN']['GAMMA']) == ('LANGEVIN', 0.02)
    assert motion['TEMPERATURE'] * motion['TEMPERATURE_ANNEALING'] ** 20 == pytest.approx(1200.0)
    assert [temperature_at(step, heated) for step in (0, 10, 20)] == pytest.approx([300, 600, 1200])
    assert temperature_at(13, DYNAMICS) == 300


@pytest.mark.parametrize(('gamma', 'extrapolation'), [((1, 1, 1), 'ASPC'), ((2, 1, 1), 'USE_PREV_P')])
def test_dynamics_goes_on_from_the_step_before(gamma, extrapolation):
    given = label_input(['Li'], SETTINGS, mesh=gamma, dynamics=DYNAMICS)
    assert given['FORCE_EVAL']['DFT']['QS']['EXTRAPOLATION'] == extrapolation


def test_an_element_without_basis_or_pseudopotential_is_named():
    kinds = {'Li': KINDS['Li'], 'S': {'BASIS_SET': 'DZVP'}, 'P': {}}
    assert missing_kinds(['Li', 'P', 'S', 'Cl'], kinds) == ['P', 'S', 'Cl']
    with pytest.raises(ValueError, match='kinds: '):
        label_input(['Cl', 'Li'], SETTINGS, frames=1)


@pytest.mark.parametrize('work', [{}, {'frames': 1, 'dynamics': DYNAMICS}])
def test_either_frames_or_dynamics(work):
    with pytest.raises(ValueError, match='one of the number of frames, the dynamics and'):
        label_input(['Li'], SETTINGS, **work)
