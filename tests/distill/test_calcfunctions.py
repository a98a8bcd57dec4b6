"""The steps of a distillation that make Data: plan, selection of compounds, comparisons, account."""

from __future__ import annotations

import pytest
from aiida import orm
from ase.build import bulk
from fixtures_models import training_input

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.distill.account_distillation import account_distillation
from aiida_dpasse.distill.compare_errors import compare_errors
from aiida_dpasse.distill.compare_speed import compare_speed
from aiida_dpasse.distill.plan_distill import plan_distill
from aiida_dpasse.distill.select_compounds import compounds_of, frames_of, reduced_formula, select_compounds
from aiida_dpasse.distill.tabulate_rounds import tabulate_rounds
from aiida_dpasse.frames.collect_samples import collect_samples
from aiida_dpasse.frames.perturb_structures import perturb_structures
from aiida_dpasse.runs import Run, Runs

RECIPE = {
    'supercell': [1, 1, 1],
    'scales': [1.0],
    'perturbations': {'number': 4, 'cell_fraction': 0.03, 'displacement': 0.1, 'closest': 1.0},
    'dynamics': {'starts': 5, 'frames': 100, 'md': {'ensemble': 'npt', 'temperature': 900.0, 'steps': 2000}},
    'sample_perturbations': {'number': 2, 'cell_fraction': 0.01, 'displacement': 0.05, 'closest': 1.0},
    'label': {'max_force': 10.0},
    'split': {'test': 0.05},
    'train': {'backend': 'tensorflow', 'input': training_input(1)},
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
    """Five runs of 2000 steps give a hundred frames each; all seeds differ; the structures start in turn."""
    plan = plan_distill(orm.Dict(RECIPE), structures=salts)
    planned = Runs.from_dict(plan['runs'])
    assert [run.number for run in planned.select(what='md')] == [0, 1, 2, 3, 4]
    assert planned.select(what='explore') == planned.select(what='round') == []
    runs = [node.get_dict() for node in plan['md'].values()]
    assert len(runs) == 5
    assert {run['sample_interval'] for run in runs} == {20}
    assert all(run['temperature'] == 900 and run['ensemble'] == 'npt' for run in runs)
    seeds = [plan[key]['seed'] for key in ('perturb', 'perturb_samples', 'split', 'train')]
    assert len({*seeds, *(run['seed'] for run in runs)}) == 9
    starts = plan['starts']['drawn']
    assert [start['source'] for start in starts] == ['bromide', 'chloride', 'bromide', 'chloride', 'bromide']
    assert len({(start['source'], start['number']) for start in starts}) == 5
    assert all(0 <= start['number'] < 4 for start in starts)
    assert plan['compounds']['compounds'] == ['Br1Li1', 'Cl1Li1']
    assert plan['label']['max_force'] == 10.0
    assert plan['split']['validation'] == 0


def test_the_plan_is_replayable(salts):
    """The same seed gives the same plan, another seed another one."""
    first, again, other = (plan_distill(orm.Dict({**RECIPE, 'seed': seed}), structures=salts) for seed in (3, 3, 4))
    assert first['starts'].get_dict() == again['starts'].get_dict() != other['starts'].get_dict()
    seeds = [[node['seed'] for node in plan['md'].values()] for plan in (first, again, other)]
    assert seeds[0] == seeds[1]
    assert not set(seeds[0]) & set(seeds[2])


@pytest.mark.parametrize(
    ('formula', 'reduced'), [('Cl4Li24P4S20', 'Cl1Li6P1S5'), ('LiBr', 'Br1Li1'), ('Cu32', 'Cu1'), ('Li4Cl6', 'Cl3Li2')]
)
def test_reduced_formula(formula, reduced):
    """Divided by the greatest common divisor, in alphabetical order."""
    assert reduced_formula(formula) == reduced


def test_every_round_has_its_runs(salts):
    """The student starts where its teacher started, once in each round."""
    recipe = {**RECIPE, 'rounds': {'maximum': 2, 'force_mae': 60.0}}
    plan = plan_distill(orm.Dict(recipe), structures=salts)
    runs = Runs.from_dict(plan['runs'])
    assert [(run.number, run.iteration) for run in runs.select(what='explore', iteration=2)] == [
        (number, 2) for number in range(5)
    ]
    assert len(runs) == 5 + 2 * 5 + 2
    first = runs.select(what='explore', iteration=1)
    errors = {'round_0000_i001': orm.Dict({'student': {'energy_mae_meV_atom': 1.0, 'force_mae_meV_A': 50.0}})}
    accounts = {'round_0000_i001': orm.Dict({'requested': 4, 'admitted': 3, 'rejected': [1], 'failed': []})}
    results = {run.id: orm.Dict({'step': 100 if run.number else 60, 'steps': 100}) for run in first}
    table = tabulate_rounds(plan['rounds'], plan['runs'], results=results, errors=errors, accounts=accounts)
    [row] = table['rounds']
    assert (row['round'], row['runs'], row['survived'], row['admitted'], row['rejected']) == (1, 5, 4, 3, 1)
    assert not table['settled']


@pytest.mark.parametrize('label', ['parameters', 'metadata', 'student', 'hot_student', 'structures'])
def test_any_label_of_a_structure_is_kept(salts, label):
    """A structure never hides another input of the plan."""
    structures = {label: salts['chloride'], 'other': salts['bromide']}
    plan = plan_distill(orm.Dict(RECIPE), structures=structures)
    assert plan['compounds']['compounds'] == ['Br1Li1', 'Cl1Li1']
    frames = perturb_structures(plan['perturb'], structures=structures)
    assert frames.formulas == {'Cl4Li4': 4, 'Br1Li1': 4}


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
    with pytest.raises(ValueError, match='Br1Li1'):
        select_compounds(frames, orm.Dict({'compounds': ['Br1Li1']}))


def test_compare_speed(aiida_profile):
    """The ratio is the student's speed over the teacher's."""
    speed = compare_speed(orm.Dict({'katom_steps_per_s': 20.0}), orm.Dict({'katom_steps_per_s': 0.5}))
    assert speed.get_dict() == {
        'student_katom_steps_per_s': 20.0,
        'teacher_katom_steps_per_s': 0.5,
        'ratio': 40.0,
    }
    with pytest.raises(ValueError, match='teacher'):
        compare_speed(orm.Dict({'katom_steps_per_s': 20.0}), orm.Dict({'katom_steps_per_s': None}))


def test_compare_errors(aiida_profile):
    """Both tables are given; without reference labels the table against them is null."""
    teacher, reference = orm.Dict({'student': {'e': 1}}), orm.Dict({'student': {'e': 2}, 'teacher': {'e': 3}})
    both = compare_errors(against_teacher=teacher, against_reference=reference).get_dict()
    assert both == {'against_teacher': {'student': {'e': 1}}, 'against_reference': reference.get_dict()}
    assert compare_errors(against_teacher=teacher).get_dict()['against_reference'] is None


def test_the_account_holds_the_runs(aiida_profile):
    """Each requested run succeeded or failed, by its key."""
    label = orm.Dict({'requested': 3, 'admitted': 3, 'rejected': [], 'failed': []})
    runs = Runs(Run('md', number) for number in range(3))
    ended = {key: orm.Dict({}) for key in ('md_0000', 'md_0002')}
    account = account_distillation(orm.Dict(runs.to_dict()), label, results=ended).get_dict()
    assert account['admitted'] == 3
    runs = account['dynamics']
    assert (runs['requested'], runs['admitted'], [entry['id'] for entry in runs['failed']]) == (3, 2, ['md_0001'])


def test_samples_are_collected_without_their_starts(make_frames):
    """A run's step 0 is its start, which the perturbed structures hold already."""
    runs = {
        f'md_{index:03d}': FramesData.from_sets([make_frames('Li S', 3, seed=index).with_origin(steps=[0, 10, 20])])
        for index in (1, 0)
    }
    samples = collect_samples(samples=runs)
    assert samples.ids() == [*runs['md_000'].ids()[1:], *runs['md_001'].ids()[1:]]
    assert {int(step) for item in samples.sets() for step in item.steps} == {10, 20}
    assert {str(source) for item in samples.sets() for source in item.sources} == {f'samples__{key}' for key in runs}
