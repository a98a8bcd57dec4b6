"""The steps of a distillation that make Data: plan, selection of compounds, comparisons, account."""

from __future__ import annotations

import pytest
from aiida import orm
from ase.build import bulk

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.functions.account_distillation import account_distillation
from aiida_dpasse.functions.collect_samples import collect_samples
from aiida_dpasse.functions.compare_errors import compare_errors
from aiida_dpasse.functions.compare_speed import compare_speed
from aiida_dpasse.functions.plan_distill import plan_distill
from aiida_dpasse.functions.select_compounds import compounds_of, frames_of, reduced_formula, select_compounds

RECIPE = {
    'supercell': [1, 1, 1],
    'scales': [1.0],
    'perturbations': {'number': 4, 'cell_fraction': 0.03, 'displacement': 0.1, 'closest': 1.0},
    'dynamics': {'starts': 5, 'frames': 100, 'md': {'ensemble': 'npt', 'temperature': 900.0, 'steps': 2000}},
    'sample_perturbations': {'number': 2, 'cell_fraction': 0.01, 'displacement': 0.05, 'closest': 1.0},
    'label': {'max_force': 10.0},
    'split': {'test': 0.05},
    'train': {'backend': 'tensorflow', 'input': {}},
    'seed': 3,
}


@pytest.fixture
def salts(aiida_profile) -> dict[str, orm.StructureData]:
    """Two rock salts."""
    return {
        'chloride': orm.StructureData(ase=bulk('LiCl', 'rocksalt', a=5.13, cubic=True)),
        'bromide': orm.StructureData(ase=bulk('LiBr', 'rocksalt', a=5.5)),
    }


def test_the_plan_is_the_recipe(salts):
    """Five runs of 2000 steps give a hundred frames each; all seeds differ; starts are drawn without repetition."""
    plan = plan_distill(orm.Dict(RECIPE), **salts)
    runs = [plan[f'md_{index:03d}'].get_dict() for index in range(5)]
    assert 'md_005' not in plan
    assert {run['sample_interval'] for run in runs} == {20}
    assert all(run['temperature'] == 900 and run['ensemble'] == 'npt' for run in runs)
    seeds = [plan[key]['seed'] for key in ('perturb', 'perturb_samples', 'split', 'train')]
    assert len({*seeds, *(run['seed'] for run in runs)}) == 9
    starts = plan['starts']['indices']
    assert len(set(starts)) == 5
    assert all(0 <= index < 8 for index in starts)
    assert plan['compounds']['compounds'] == ['Br1Li1', 'Cl1Li1']
    assert plan['label'].get_dict() == {'max_force': 10.0}
    assert plan['split']['validation'] == 0


def test_the_plan_is_replayable(salts):
    """The same seed gives the same plan, another seed another one."""
    first, again, other = (
        {key: node.get_dict() for key, node in plan_distill(orm.Dict({**RECIPE, 'seed': seed}), **salts).items()}
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first['starts'] != other['starts']
    assert first['md_000']['seed'] != other['md_000']['seed']


@pytest.mark.parametrize(
    ('formula', 'reduced'), [('Cl4Li24P4S20', 'Cl1Li6P1S5'), ('LiBr', 'Br1Li1'), ('Cu32', 'Cu1'), ('Li4Cl6', 'Cl3Li2')]
)
def test_reduced_formula(formula, reduced):
    """Divided by the greatest common divisor, in alphabetical order."""
    assert reduced_formula(formula) == reduced


def test_select_compounds(make_frames, salts):
    """Cells of any size of a compound are taken, others are not."""
    frames = FramesData.from_sets(
        [make_frames('Cl Li', 3), make_frames('Cl Cl Li Li', 2, seed=2), make_frames('Li Li S', 4, seed=3)]
    )
    assert compounds_of(salts.values()) == ['Br1Li1', 'Cl1Li1']
    assert frames_of(frames.formulas, ['Cl1Li1']) == 5
    chosen = select_compounds(frames, orm.Dict({'compounds': ['Br1Li1', 'Cl1Li1']}))
    assert chosen.formulas == {'Cl1Li1': 3, 'Cl2Li2': 2}
    assert chosen.ids() == frames.ids()[:5]
    with pytest.raises(ValueError, match='None of the frames is of Br1Li1'):
        select_compounds(frames, orm.Dict({'compounds': ['Br1Li1']}))


def test_compare_speed(aiida_profile):
    """The ratio is the student's speed over the teacher's."""
    speed = compare_speed(orm.Dict({'katom_steps_per_s': 20.0}), orm.Dict({'katom_steps_per_s': 0.5}))
    assert speed.get_dict() == {
        'student_katom_steps_per_s': 20.0,
        'teacher_katom_steps_per_s': 0.5,
        'ratio': 40.0,
    }
    with pytest.raises(ValueError, match='of the teacher gives no speed'):
        compare_speed(orm.Dict({'katom_steps_per_s': 20.0}), orm.Dict({'katom_steps_per_s': None}))


def test_compare_errors(aiida_profile):
    """Both tables are there, the one against reference labels as null where there are none."""
    teacher, reference = orm.Dict({'student': {'e': 1}}), orm.Dict({'student': {'e': 2}, 'teacher': {'e': 3}})
    both = compare_errors(against_teacher=teacher, against_reference=reference).get_dict()
    assert both == {'against_teacher': {'student': {'e': 1}}, 'against_reference': reference.get_dict()}
    assert compare_errors(against_teacher=teacher).get_dict()['against_reference'] is None


def test_the_account_holds_the_runs(aiida_profile):
    """Requested runs are admitted or failed, each by its key."""
    label = orm.Dict({'requested': 3, 'admitted': 3, 'rejected': [], 'failed': []})
    starts, results = orm.Dict({'indices': [7, 1, 4]}), orm.Dict({})
    account = account_distillation(starts, label, md_000=results, md_002=results).get_dict()
    assert account['admitted'] == 3
    runs = account['dynamics']
    assert (runs['requested'], runs['admitted'], [entry['id'] for entry in runs['failed']]) == (3, 2, ['md_001'])


def test_samples_are_collected_without_their_starts(make_frames):
    """A run's step 0 is its start, which the perturbed structures hold already."""
    runs = {
        f'md_{index:03d}': FramesData.from_sets([make_frames('Li S', 3, seed=index).with_origin(steps=[0, 10, 20])])
        for index in (1, 0)
    }
    samples = collect_samples(**runs)
    assert samples.ids() == [*runs['md_000'].ids()[1:], *runs['md_001'].ids()[1:]]
    assert {int(step) for item in samples.sets() for step in item.steps} == {10, 20}
