"""Plans of pre-training, fine-tuning and study, and the study's summary."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.functions.plan_electrolyte import PHASES, plan_electrolyte
from aiida_dpasse.functions.plan_finetune import plan_finetune
from aiida_dpasse.functions.plan_pretrain import plan_pretrain
from aiida_dpasse.functions.summarize_electrolyte import summarize_electrolyte

SETTINGS = {'train': {'backend': 'pytorch', 'input': {}}, 'split': {'validation': 5, 'test': 0.2}, 'seed': 9}


def errors(energy: float, force: float) -> dict[str, float]:
    return {'energy_mae_meV_atom': energy, 'force_mae_meV_A': force, 'energy_rmse_meV_atom': 0.0}


def test_plan_pretrain(aiida_profile, make_frames):
    """Split and training have seeds of their own, and what was handed in is not split off again."""
    plan = plan_pretrain(orm.Dict(SETTINGS))
    assert plan['split']['seed'] != plan['train']['seed']
    assert (plan['split']['validation'], plan['split']['test']) == (5, 0.2)
    held_out = FramesData.from_sets([make_frames()])
    plan = plan_pretrain(orm.Dict(SETTINGS), test_data=held_out)
    assert (plan['split']['validation'], plan['split']['test']) == (5, 0)


def test_plan_finetune(aiida_profile):
    """A split that is not given is the parameters' default."""
    plan = plan_finetune(orm.Dict({key: SETTINGS[key] for key in ('train', 'seed')}))
    assert (plan['split']['validation'], plan['split']['test']) == (0, 0.1)
    assert plan['train']['backend'] == 'pytorch'
    assert plan['evaluate'].get_dict() == {}
    train = {**SETTINGS['train'], 'finetune': {'model_branch': 'PBE'}}
    plan = plan_finetune(orm.Dict({'train': train, 'seed': 9}))
    assert plan['evaluate'].get_dict() == {'heads': {'zero_shot': 'PBE'}}


def test_plan_electrolyte(aiida_profile):
    """Every phase has its settings and a seed of its own, the same from the same seed."""
    settings = {phase: {'number': index, 'seed': 1} for index, phase in enumerate(PHASES)} | {'seed': 4}
    plan = plan_electrolyte(orm.Dict(settings))
    assert [plan[phase]['number'] for phase in PHASES] == list(range(len(PHASES)))
    seeds = [plan[phase]['seed'] for phase in PHASES]
    assert len(set(seeds)) == len(PHASES)
    assert seeds == [plan_electrolyte(orm.Dict(settings))[phase]['seed'] for phase in PHASES]


def test_summary_of_a_whole_study(aiida_profile):
    """Every number is taken from the phase that found it."""
    account = {'requested': 9, 'admitted': 7, 'rejected': [{'id': 'a', 'reason': 'b'}], 'failed': [{}]}
    row = {'temperature_K': 600.0, 'diffusivity_cm2_s': 1e-6, 'error_cm2_s': 1e-7, 'diffusive': True}
    distill = {
        'against_teacher': {'student': errors(1.0, 10.0)},
        'against_reference': {'student': errors(3.0, 30.0), 'teacher': errors(2.0, 20.0)},
    }
    found = {
        'initial_data_account': account,
        'active_learning_account': account,
        'active_learning_iterations': {'iterations': [{}, {}], 'converged': False, 'verdict': 'Not yet.'},
        'pretrain_errors': {'pretrained': errors(5.0, 50.0)},
        'finetune_data_account': account,
        'finetune_errors': {'zero_shot': errors(9.0, 90.0), 'fine_tuned': errors(4.0, 40.0)},
        'distill_errors': distill,
        'distill_account': account,
        'distill_speed': {'ratio': 12.5},
        'conductivity_transport': {'temperatures': [row]},
        'conductivity_arrhenius': {'conductivity_mS_cm': None, 'reason': 'Only one temperature is diffusive.'},
    }
    nodes = {key: orm.Dict(value) for key, value in found.items()}
    summary = summarize_electrolyte(parameters=orm.Dict({'seed': 4}), **nodes).get_dict()
    assert (summary['frames_labelled'], summary['frames_rejected'], summary['frames_failed']) == (21, 3, 3)
    assert (summary['frames_labelled_by_teacher'], summary['frames_rejected_of_teacher']) == (7, 2)
    assert (summary['iterations'], summary['active_learning_converged']) == (2, False)
    assert (summary['teacher_mae_energy_meV_atom'], summary['teacher_mae_force_meV_A']) == (2.0, 20.0)
    assert (summary['student_mae_energy_meV_atom'], summary['student_mae_force_meV_A']) == (3.0, 30.0)
    assert summary['student_errors_against'] == 'reference'
    assert summary['finetune']['fine_tuned'] == {'energy_mae_meV_atom': 4.0, 'force_mae_meV_A': 40.0}
    assert summary['speedup_student_over_teacher'] == 12.5
    assert summary['conductivity_300K_mS_cm'] is None
    assert summary['conductivity_reason'] == 'Only one temperature is diffusive.'
    assert summary['temperatures'] == [
        {'temperature_K': 600.0, 'diffusivity_cm2_s': 1e-6, 'error_cm2_s': 1e-7, 'diffusive': True}
    ]
    assert (summary['contrast'], summary['seed']) == ([], 4)


def test_summary_without_reference_labels(aiida_profile):
    """The teacher's errors are then those of its own test, the student's those against the teacher."""
    found = {
        'pretrain_errors': {'pretrained': errors(5.0, 50.0)},
        'distill_errors': {'against_teacher': {'student': errors(1.0, 10.0)}, 'against_reference': None},
    }
    nodes = {key: orm.Dict(value) for key, value in found.items()}
    summary = summarize_electrolyte(parameters=orm.Dict({'seed': 4}), **nodes).get_dict()
    assert summary['teacher_mae_force_meV_A'] == 50.0
    assert summary['student_mae_force_meV_A'] == 10.0
    assert summary['student_errors_against'] == 'teacher'
    assert summary['finetune'] is None


def test_summary_of_the_last_phase_alone(aiida_profile):
    """With a potential handed in, what never ran is null, not an error."""
    summary = summarize_electrolyte(parameters=orm.Dict({'seed': 4})).get_dict()
    assert summary['frames_labelled'] == 0
    assert summary['iterations'] is None
    assert summary['student_mae_force_meV_A'] is None
    assert summary['temperatures'] == []
