"""The commands of DeePMD-kit and LAMMPS, and the form of a potential that each use needs."""

from __future__ import annotations

import pytest

from aiida_dpasse.deepmd import engine

DEVIATION = {'deviation_file': 'devi.out', 'deviation_interval': 10}


def test_commands_of_dp():
    for backend, flag in (('pytorch', '--pt'), ('tensorflow', '--tf')):
        assert engine.train_arguments(backend, 'in.json') == [flag, 'train', 'in.json']
        assert engine.freeze_arguments(backend, 'out') == [flag, 'freeze', '-o', 'out']
        assert engine.compress_arguments(backend, 'in', 'out') == [flag, 'compress', '-i', 'in', '-o', 'out']
    freeze = engine.freeze_arguments('pytorch', 'out', checkpoint='a.pt', head='PBE')
    assert freeze[2:] == ['-c', 'a.pt', '-o', 'out', '--head', 'PBE']
    change = engine.change_bias_arguments('a.pt', 'data', 'b.pt', branch='PBE')
    assert change == ['--pt', 'change-bias', 'a.pt', '-s', 'data', '-o', 'b.pt', '--model-branch', 'PBE']


def test_start_of_a_training():
    """Only a PyTorch checkpoint contains its neighbour statistics; a restart never fine-tunes again."""
    for backend, skip in (('pytorch', ['--skip-neighbor-stat']), ('tensorflow', [])):
        arguments = engine.train_arguments(backend, 'in', restart='old', keep_neighbours=True, pretrained='a.pt')
        assert arguments[3:] == ['--restart', 'old', *skip]
    assert engine.train_arguments('pytorch', 'in', restart='old')[3:] == ['--restart', 'old']
    tuned = engine.train_arguments('pytorch', 'in', pretrained='a.pt', use_pretrain_script=True, branch='PBE')
    assert tuned[3:] == ['--finetune', 'a.pt', '--use-pretrain-script', '--model-branch', 'PBE']


def test_lammps_commands():
    elements = ['Cl', 'Li']
    assert engine.lammps_commands(['a.pb'], elements, **DEVIATION, relative=0.5) == [
        'pair_style deepmd a.pb',
        'pair_coeff * * Cl Li',
    ]
    several = 'pair_style deepmd a.pb b.pb out_file devi.out out_freq 10'
    assert engine.lammps_commands(['a.pb', 'b.pb'], elements, **DEVIATION)[0] == several
    assert engine.lammps_commands(['a.pb', 'b.pb'], elements, **DEVIATION, relative=0.5)[0] == f'{several} relative 0.5'


def test_model_files_and_forms():
    assert engine.model_file('pytorch', 'checkpoint') == 'model.pt'
    assert engine.model_file('tensorflow', 'compressed', 'student') == 'student.pb'
    with pytest.raises(KeyError):
        engine.model_file('tensorflow', 'checkpoint')
    assert engine.check_form_for_lammps('frozen') is None
    assert engine.check_form_for_lammps('checkpoint', 'freeze it.').endswith('freeze it.')
    assert engine.check_form_for_finetuning('pytorch', 'checkpoint') is None
    assert engine.check_form_for_finetuning('pytorch', 'frozen') is not None
