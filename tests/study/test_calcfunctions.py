"""Plans of pre-training, fine-tuning and study, and the study's summary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from aiida import orm

from aiida_dpasse.base.protocols import PROTOCOLS
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import check_parameters
from aiida_dpasse.study.electrolyte import ElectrolyteWorkChain
from aiida_dpasse.study.judge_production import judge_production
from aiida_dpasse.study.plan_electrolyte import PHASES, plan_electrolyte
from aiida_dpasse.study.summarize_electrolyte import summarize_electrolyte
from aiida_dpasse.train.finetune import FinetuneWorkChain
from aiida_dpasse.train.plan_finetune import plan_finetune
from aiida_dpasse.train.plan_pretrain import plan_pretrain
from aiida_dpasse.train.pretrain import PretrainWorkChain

SETTINGS = PretrainWorkChain.protocol_parameters('demo', {'split': {'validation': 5, 'test': 0.2}, 'seed': 9})
TUNING = FinetuneWorkChain.protocol_parameters('demo', {'seed': 9})
STUDY = ElectrolyteWorkChain.protocol_parameters('demo', {'seed': 4})


def errors(energy: float, force: float) -> dict[str, float]:
    return {'energy_mae_meV_atom': energy, 'force_mae_meV_A': force, 'energy_rmse_meV_atom': 0.0}


def test_plan_pretrain(aiida_profile, make_frames):
    """Split and training have seeds of their own, and given data are not split off again."""
    plan = plan_pretrain(orm.Dict(SETTINGS))
    assert plan['split']['seed'] != plan['train']['seed']
    assert (plan['split']['validation'], plan['split']['test']) == (5, 0.2)
    held_out = FramesData.from_sets([make_frames()])
    plan = plan_pretrain(orm.Dict(SETTINGS), held_out={'test': held_out})
    assert (plan['split']['validation'], plan['split']['test']) == (5, 0)


def test_plan_finetune(aiida_profile):
    """A split that is not given is the model's default, and every setting of the training is there."""
    plan = plan_finetune(orm.Dict({key: TUNING[key] for key in ('train', 'seed')}))
    assert (plan['split']['validation'], plan['split']['test']) == (0, 0.1)
    assert (plan['train']['backend'], plan['train']['processes']) == ('pytorch', 1)
    assert plan['evaluate'].get_dict() == {}
    plan = plan_finetune(orm.Dict(merge(TUNING, {'train': {'finetune': {'model_branch': 'PBE'}}})))
    assert plan['evaluate'].get_dict() == {'heads': {'zero_shot': 'PBE'}}


@pytest.mark.parametrize('name', PROTOCOLS)
def test_plan_electrolyte(aiida_profile, name):
    """Every phase has settings that its chain accepts, with all defaults, and a seed of its own, the same from the same
    seed."""
    settings = ElectrolyteWorkChain.protocol_parameters(name, {'seed': 4})
    plan = plan_electrolyte(orm.Dict(settings))
    for phase, process in ElectrolyteWorkChain.PHASES.items():
        assert check_parameters(process.PARAMETERS, plan[phase].get_dict()) is None
    assert plan['pretrain']['train']['processes'] == 1
    seeds = [plan[phase]['seed'] for phase in PHASES]
    assert len(set(seeds)) == len(PHASES)
    assert seeds == [plan_electrolyte(orm.Dict(settings))[phase]['seed'] for phase in PHASES]


def judged(make_frames, errors: dict[str, float], limit: float, **account: Any) -> dict[str, Any]:
    """Judge students by two frames whose root mean square force is 0.5 eV/A."""
    frames = make_frames(frames=2)
    frames = replace(frames, forces=np.where(np.arange(frames.natoms)[:, None] % 2, 0.5, -0.5) * np.ones((2, 1, 3)))
    given = {'admitted': 2, 'requested': 3, 'rejected': [{'id': 'a', 'reason': 'b'}], 'failed': []} | account
    labelled = {}
    if errors:
        results = {label: {'force_rmse_meV_A': value} for label, value in errors.items()}
        labelled = {'frames': FramesData.from_sets([frames]), 'errors': orm.Dict(results)}
    return judge_production(orm.Dict({'maximum_error': limit}), orm.Dict(given), **labelled).get_dict()


def test_verdict_of_a_production(aiida_profile, make_frames):
    """The worst student decides, relative to the forces; no labels, no verdict, and rejected frames are wrong."""
    found = judged(make_frames, {'student': 100.0, 'member_0001': 200.0}, 0.4)
    assert found['force_rms_meV_A'] == pytest.approx(500.0)
    assert found['relative_error'] == pytest.approx(0.4)
    assert (found['accepted'], found['reason']) == (True, None)
    assert (found['frames'], found['requested'], found['rejected']) == (2, 3, 1)
    found = judged(make_frames, {'student': 100.0, 'member_0001': 201.0}, 0.4)
    assert found['accepted'] is False
    assert found['reason']
    assert judged(make_frames, {}, 0.4, admitted=0)['accepted'] is False
    found = judged(make_frames, {}, 0.4, admitted=0, rejected=[], failed=[{'id': 'a', 'reason': 'b'}])
    assert found['accepted'] is None
    assert found['reason']


def summary_of(**phases: dict[str, dict]) -> dict:
    nodes = {phase: {name: orm.Dict(value) for name, value in outputs.items()} for phase, outputs in phases.items()}
    return summarize_electrolyte(parameters=orm.Dict(STUDY), **nodes).get_dict()


def test_summary_of_a_whole_study(aiida_profile):
    """Every number is taken from the phase that found it."""
    account = {'requested': 9, 'admitted': 7, 'rejected': [{'id': 'a', 'reason': 'b'}], 'failed': [{}]}
    row = {'temperature_K': 600.0, 'diffusivity_cm2_s': 1e-6, 'error_cm2_s': 1e-7, 'diffusive': True}
    distill = {
        'against_teacher': {'student': errors(1.0, 10.0)},
        'against_reference': {'student': errors(3.0, 30.0), 'teacher': errors(2.0, 20.0)},
    }
    iterations = {'iterations': [{}, {}], 'converged': False, 'verdict': 'Not yet.'}
    arrhenius = {'conductivity_mS_cm': None, 'reason': 'Only one temperature is diffusive.'}
    summary = summary_of(
        initial_data={'account': account},
        active_learning={'account': account, 'iterations': iterations},
        pretrain={'errors': {'pretrained': errors(5.0, 50.0)}},
        finetune_labels={'account': account},
        finetune={'errors': {'zero_shot': errors(9.0, 90.0), 'fine_tuned': errors(4.0, 40.0)}},
        distill={'account': account, 'errors': distill, 'speed': {'ratio': 12.5}},
        conductivity={'transport': {'temperatures': [row]}, 'arrhenius': arrhenius},
        reference={'transport': {'temperatures': [{**row, 'temperature_K': 300.0}]}},
    )
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
    assert [item['temperature_K'] for item in summary['reference']] == [300.0]
    assert (summary['distill_from'], summary['seed']) == ('pretrained', 4)


def test_summary_without_reference_labels(aiida_profile):
    """The teacher's errors are then those of its own test, the student's those against the teacher."""
    summary = summary_of(
        pretrain={'errors': {'pretrained': errors(5.0, 50.0)}},
        distill={'errors': {'against_teacher': {'student': errors(1.0, 10.0)}, 'against_reference': None}},
    )
    assert summary['teacher_mae_force_meV_A'] == 50.0
    assert summary['student_mae_force_meV_A'] == 10.0
    assert summary['student_errors_against'] == 'teacher'
    assert summary['finetune'] is None


def test_summary_with_the_passport_of_the_labels(aiida_profile):
    forces = {'slope': 0.95, 'interval': [0.94, 0.96]}
    passport = {'source': {'name': 'sevennet-l3i5'}, 'forces': forces, 'verdict': 'stiff enough', 'reason': ''}
    found = summary_of(passport={'passport': passport})['label_passport']
    assert (found['source'], found['force_slope'], found['verdict']) == ('sevennet-l3i5', 0.95, 'stiff enough')
    assert summary_of()['label_passport'] is None


def test_summary_of_the_last_phase_alone(aiida_profile):
    """With a given potential, the results of phases that did not run are null."""
    summary = summary_of()
    assert summary['frames_labelled'] == 0
    assert summary['iterations'] is None
    assert summary['student_mae_force_meV_A'] is None
    assert summary['temperatures'] == []
