"""Test sets that a tiny potential of copper runs and EMT labels, and a report card on them."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from ase.calculators.emt import EMT

from aiida_dpasse.assess.test_sets import TestSetsWorkChain
from aiida_dpasse.assess.validate import ValidateWorkChain
from aiida_dpasse.lammps.watch import KEPT
from aiida_dpasse.reports.accounting import unaccounted
from aiida_dpasse.reports.lineage import trace_frames
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.registry import outcome
from aiida_dpasse.reports.report import report_text, write_report
from aiida_dpasse.runs import Run

EXIT = TestSetsWorkChain.exit_codes
PARAMETERS = {
    'near_equilibrium': {'temperature': 50.0, 'steps': 10, 'frames': 5},
    'heating': {'first': 150.0, 'last': 1150.0, 'steps': 200, 'frames': 8},
    'supercell': [1, 1, 1],
    # A tight thermostat: in so few steps another one would not follow.
    'md': {'ensemble': 'nvt', 'timestep': 2.0, 'thermo_interval': 1, 'temperature_damping': 20.0},
    'label': {},
    'seed': 1,
}


def size_of(item) -> str:
    """Return the label of the crystal of a set of frames."""
    return 'large' if item.natoms == 32 else 'small'


@pytest.fixture
def inputs(codes, copper_committee, copper, metals):
    """Inputs of the chain for two cells of copper; keywords change the parameters."""

    def make(given: dict | None = None, **changes) -> dict:
        return {
            'codes': {name: codes[name] for name in ('lmp', 'python')},
            'structures': {'large': copper, 'small': metals['copper']},
            'potential': copper_committee.outputs.potentials['member_00'],
            'calculator': orm.Dict({'name': 'emt'}),
            'parameters': orm.Dict({**PARAMETERS, **changes}),
            **(given or {}),
        }

    return make


def test_both_sets_and_a_report_card_on_them(inputs, codes, tmp_path):
    outputs, node = run_get_node(TestSetsWorkChain, **inputs())
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == unaccounted(node) == []
    account = outputs['account'].get_dict()
    assert account['requested'] == account['admitted'] == 2 * 5 + 2 * 8
    assert account['rejected'] == account['failed'] == []
    steps = {'near_equilibrium': range(2, 11, 2), 'heating': range(25, 201, 25)}
    labels = {
        run['run']: Run('md', run['number'], data=run['part'], structure=run['structure']).label
        for run in account['runs']
    }
    for part, wanted in steps.items():
        frames, crystals = outputs[part], outputs[part].to_ase()
        assert frames.formulas == {'Cu32': len(wanted), 'Cu8': len(wanted)}
        for item in frames.sets():
            assert list(item.steps) == list(wanted)
            [run] = {run['run'] for run in account['runs'] if (run['part'], run['structure']) == (part, size_of(item))}
            assert set(item.sources) == {f'samples__{run}'}
            assert item.labels == ('energy', 'force', 'virial')
            # The labels are the reference's, not those of the potential that ran.
            atoms = crystals[-1 if item.natoms == 8 else len(wanted) - 1]
            atoms.calc = EMT()
            assert item.energies[-1] == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        # Every frame is found again in the run that its source names, at its step.
        runs = {link.link_label: link.node for link in node.base.links.get_outgoing().all()}
        made = {f'samples__{run}': runs[label] for run, label in labels.items()}
        for origin in trace_frames(frames):
            assert origin.md is not None
            job, step = origin.md
            assert job in [child.pk for child in made[origin.source].called]
            assert step in wanted
    # The crystal is hotter at the end of its heating than it was at the start, and than near equilibrium.
    thermo = runs['md_0002_large_heating'].outputs.thermo.get_array('temperature_K')
    cold = runs['md_0000_large_near_equilibrium'].outputs.thermo.get_array('temperature_K')
    assert cold[1:].mean() < 60 < thermo[20:60].mean() < 600 < 700 < thermo[-40:].mean() < 1400

    # What comes out goes straight into the report card.
    card = {
        'codes': {'python': codes['python']},
        'potentials': {'tiny': node.inputs.potential},
        'test_sets': {part: outputs[part] for part in steps},
        'parameters': orm.Dict(
            {
                'temperatures': outputs['temperatures'].get_dict(),
                **{'temperature_bin': 250, 'batch_size': 100, 'parity_points': 50, 'seed': 1},
            }
        ),
    }
    _, validation = run_get_node(ValidateWorkChain, **card)
    assert validation.is_finished_ok, validation.exit_message
    tests = {(row['potential'], row['set']): row for row in validation.outputs.report_card['tests']}
    assert [row['temperature_K'] for row in tests['tiny', 'near_equilibrium']['per_temperature']] == [50.0]
    rows = tests['tiny', 'heating']['per_temperature']
    # 275, 400 ... 1150 K, in bins of 250 K, of both cells.
    assert [row['temperature_K'] for row in rows] == pytest.approx([337.5, 587.5, 837.5, 1087.5])
    assert [row['frames'] for row in rows] == [4, 4, 4, 4]
    assert all(row['energy_mean_meV_atom'] != 0 for row in rows)
    assert tests['tiny', 'near_equilibrium']['force_mae_meV_A'] < tests['tiny', 'heating']['force_mae_meV_A']

    assert '26 of 26' in outcome(node)[0]
    assert tmp_path / 'test_sets.png' in write_report(node, tmp_path)
    report = (tmp_path / 'report.txt').read_text()
    assert KEPT in report
    assert 'Frames without a label' not in report


def test_a_run_that_stops_early_gives_its_frames_up_to_there(inputs, copper_committee, tmp_path):
    """And the set near equilibrium, switched off, is not there; a teacher labels."""
    teacher = copper_committee.outputs.potentials['member_01']
    given = inputs(
        near_equilibrium=None,
        heating={'first': 100.0, 'last': 6000.0, 'steps': 400, 'frames': 16},
        md={**PARAMETERS['md'], 'stop_force': 3.0},
    )
    del given['calculator'], given['structures']['large']
    outputs, node = run_get_node(TestSetsWorkChain, **given, teacher=teacher)
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == unaccounted(node) == []
    assert 'near_equilibrium' not in outputs
    assert set(outputs['temperatures'].get_dict()) == {'heating'}
    [run] = outputs['account']['runs']
    assert run['verdict'] == 'exploded'
    count = outputs['heating'].frames
    assert 0 < count < 16
    assert run['sampled'] == run['admitted'] == count
    [item] = outputs['heating'].sets()
    assert list(item.steps) == [25 * (index + 1) for index in range(count)]
    assert run['last_step'] >= item.steps[-1]
    failed = outputs['account']['failed']
    assert [entry['id'] for entry in failed] == [f'md_0000:{25 * index}' for index in range(count + 1, 17)]
    assert all('exploded' in entry['reason'] for entry in failed)
    told = [log.message for log in orm.Log.collection.get_logs_for(node)]
    assert any('md_0000_small_heating' in line for line in told)
    text = report_text(node)
    assert 'exploded' in text
    assert 'Frames without a label' in text


def test_a_run_without_any_frame_ends_with_its_sentence(inputs):
    wild = {**PARAMETERS['md'], 'timestep': 200.0}
    given = inputs(near_equilibrium=None, heating={'first': 5e4, 'last': 1e5, 'steps': 200, 'frames': 1}, md=wild)
    del given['structures']['large']
    outputs, node = run_get_node(TestSetsWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_NO_FRAME_SAMPLED.status
    assert '`heating`' in node.exit_message
    assert outputs['account']['failed'][0]['id'] == 'md_0000:200'
    assert outputs['temperatures'].get_dict() == {}


def test_a_labelling_that_fails_is_passed_on_with_its_account(inputs):
    given = inputs({'calculator': orm.Dict({'name': 'nowhere:Nothing'})}, heating=None)
    del given['structures']['large']
    outputs, node = run_get_node(TestSetsWorkChain, **given)
    assert node.exit_status == EXIT.ERROR_LABEL_FAILED.status
    assert '`near_equilibrium`' in node.exit_message
    assert 'near_equilibrium' not in outputs
    failed = outputs['account']['failed']
    assert [(entry['run'], entry['step']) for entry in failed] == [('md_0000', s) for s in range(2, 11, 2)]
    assert all('nowhere' in entry['reason'] for entry in failed)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'near_equilibrium': None, 'heating': None}, '`near_equilibrium` and `heating`'),
        (
            {'near_equilibrium': {'temperature': 50, 'steps': 10, 'frames': 4}},
            r'`steps` \(10\) .*`frames` \(4\).* 8',
        ),
        ({'heating': {'first': 0, 'last': 9, 'steps': 4, 'frames': 4}}, '`heating.first`'),
        ({'md': {'ensemble': 'nvt', 'temperature': 3}}, '`md.temperature`'),
        (
            {'md': {'ensemble': 'nvt', 'equilibration': {'ensemble': 'nvt', 'steps': 5}}},
            '`md.equilibration`',
        ),
        ({'md': {'ensemble': 'nve'}}, '`heating`'),
        ({'label': {'mode': 'strict'}}, '`label.mode`'),
        ({'label': {'relaxation': {}}}, '`label.relaxation`'),
    ],
)
def test_impossible_sets_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(TestSetsWorkChain, **inputs(**changes))


def test_what_does_not_go_together_is_refused(inputs, copper_committee, metals):
    tiny = copper_committee.outputs.potentials['member_00']
    flat = orm.StructureData(cell=3 * np.eye(3), pbc=(True, True, False))
    flat.append_atom(position=(0, 0, 0), symbols='Cu')
    without = inputs()
    del without['calculator']
    for given, message in (
        (inputs({'structures': {'alloy': metals['alloy']}}), 'potential: .*Au'),
        (inputs({'structures': {'flat': flat}}), r'structures\.flat: .*not periodic'),
        (inputs({'teacher': tiny}), 'calculator, teacher: '),
        (without, r'calculator, teacher, codes\.'),
        ({**without, 'teacher': tiny, 'codes': {'lmp': without['codes']['lmp']}}, r'codes\.python: .*`teacher`'),
    ):
        with pytest.raises(ValueError, match=message):
            run_get_node(TestSetsWorkChain, **given)


@pytest.mark.parametrize('name', ['dpa-sse', 'balanced', 'fast', 'demo'])
def test_protocols_are_complete(name):
    found = TestSetsWorkChain.PARAMETERS.model_validate(TestSetsWorkChain.protocol_parameters(name))
    assert found.near_equilibrium.temperature == 50
    assert (found.near_equilibrium.steps, found.heating.first, found.heating.last) == (10, 150, 1150)
