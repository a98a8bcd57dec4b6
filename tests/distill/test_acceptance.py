"""A student of copper before its examiners: accepted, refused for a reason, and refused because it falls apart."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.manage.caching import disable_caching, enable_caching

from aiida_dpasse.distill.acceptance import AcceptanceWorkChain
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text

EXIT = AcceptanceWorkChain.exit_codes
HOT = {'ensemble': 'nvt', 'temperature': 300, 'timestep': 1.0, 'steps': 40, 'sample_interval': 2, 'thermo_interval': 10}
DRIFT = {
    'ensemble': 'nve',
    'temperature': 100,
    'timestep': 1.0,
    'steps': 40,
    'thermo_interval': 4,
    'equilibration': {'ensemble': 'nvt', 'steps': 10},
}
NOTHING = dict.fromkeys(
    (
        'force_mae',
        'energy_mae',
        'error_ratio',
        'energy_drift',
        'density_change',
        'rdf_mismatch',
        'diffusion_deviation',
        'activation_deviation',
        'speedup',
    )
)
MILD = {'force_mae': 2000.0, 'energy_mae': 2000.0, 'error_ratio': 50.0, 'rdf_mismatch': 0.6, 'energy_drift': 500.0}


@pytest.fixture(autouse=True)
def equal_runs_run_once(equal_trainings_run_once):
    """The runs are the same, whatever the limits."""
    with enable_caching(identifier='aiida.calculations:dpasse.md'):
        yield


@pytest.fixture
def inputs(codes, copper, copper_frames, copper_committee):
    """Two members of a committee, one of which is called the teacher."""
    potentials = copper_committee.outputs.potentials

    def make(limits=MILD, **changes):
        parameters = {'supercell': [1, 1, 1], 'hot': HOT, 'drift': DRIFT, 'rdf_cutoff': 5.0, 'seed': 1}
        return {
            'codes': {name: codes[name] for name in ('lmp', 'python')},
            'student': potentials['member_00'],
            'teacher': potentials['member_01'],
            'structures': {'copper': copper},
            'frames': copper_frames,
            'test_data': copper_frames,
            'parameters': orm.Dict({**parameters, 'limits': {**NOTHING, **limits}, **changes}),
        }

    return make


def test_the_same_student_is_accepted_and_refused(inputs):
    """What decides are the limits, and every check says what it found."""
    outputs, node = run_get_node(AcceptanceWorkChain, **inputs(limits=MILD | {'speedup': 0.01}))
    assert node.is_finished_ok, node.exit_message
    assert orphans(node) == []
    checks = {check['name']: check for check in outputs['verdict']['checks']}
    assert set(checks) == {
        'force_mae',
        'energy_mae',
        'error_ratio',
        'survives_hot_copper',
        'energy_drift_copper',
        'rdf_copper',
        'speedup_copper',
    }
    assert all(check['passed'] for check in checks.values())
    assert checks['survives_hot_copper']['value'] == 40
    assert 0 < checks['rdf_copper']['value'] < 0.6
    # Members of one committee: as far from the labels as each other, within a factor of a few.
    assert 0.1 < checks['error_ratio']['value'] < 10
    assert 'accepted' in report_text(node)

    strict = {'force_mae': 1e-3, 'energy_drift': 1e-9}
    outputs, node = run_get_node(AcceptanceWorkChain, **inputs(limits=strict))
    assert node.exit_status == EXIT.ERROR_REFUSED.status
    assert not outputs['verdict']['accepted']
    refused = {check['name'] for check in outputs['verdict']['checks'] if check['passed'] is False}
    assert refused == {'force_mae', 'energy_drift_copper'}

    # A run that ends because a force is too large is a student that falls apart.
    outputs, node = run_get_node(AcceptanceWorkChain, **inputs(drift=DRIFT | {'stop_force': 1e-3}))
    assert node.exit_status == EXIT.ERROR_REFUSED.status
    assert {check['name'] for check in outputs['verdict']['checks'] if check['passed'] is False} == {
        'survives_drift_copper'
    }

    # A teacher whose crystal falls apart cannot serve as reference.
    _, node = run_get_node(AcceptanceWorkChain, **inputs(hot=HOT | {'stop_force': 1e-3}))
    assert node.exit_status == EXIT.ERROR_TEACHER_FAILED.status
    assert 'hot_0001_copper_teacher' in node.exit_message


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'drift': DRIFT | {'ensemble': 'nvt'}}, '`drift.ensemble`'),
        ({'hot': HOT | {'seed': 3}}, '`hot.seed`'),
        ({'hot': HOT | {'sample_interval': None}}, '`hot.sample_interval`'),
        ({'limits': {'density_change': 0.1}}, '`hot.ensemble`'),
        ({'drift': DRIFT | {'timestep': 0}}, '`drift`: `timestep`'),
    ],
)
def test_impossible_acceptances_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(AcceptanceWorkChain, **inputs(**changes))


def test_errors_need_frames(inputs):
    given = inputs()
    del given['frames']
    with pytest.raises(ValueError, match=r'frames: `limits\.force_mae`'):
        run_get_node(AcceptanceWorkChain, **given)


TRANSPORT = {
    'supercell': [1, 1, 1],
    'temperatures': [300, 600],
    'replicas': 1,
    'md': {
        'ensemble': 'nvt',
        'timestep': 1.0,
        'steps': 40,
        'trajectory_interval': 2,
        'thermo_interval': 20,
        'equilibration': {'ensemble': 'npt', 'steps': 10},
    },
    'transport': {'ion': 'Cu'},
    'extrapolate_to': 300.0,
    'seed': 1,
}


def most_in_flight(node: orm.WorkChainNode) -> tuple[int, int]:
    """Return how many jobs below ``node`` existed at once at most, from creation to last change, and how many ran."""
    jobs = [child for child in node.called_descendants if isinstance(child, orm.CalcJobNode)]
    # An end comes before a beginning of the same time.
    changes = sorted([(job.ctime, 1) for job in jobs] + [(job.mtime, -1) for job in jobs])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most, len(jobs)


@pytest.mark.parametrize('limit', [4, 2])
def test_no_more_jobs_are_in_flight_than_may_be(inputs, copper, limit):
    """Two structures: six runs and two tests, then four chains of two runs and two analyses each."""
    given = inputs(limits={'force_mae': 2000.0, 'diffusion_deviation': 3.0}, conductivity=TRANSPORT)
    given['structures'] = {'a': copper, 'student_a': copper}
    with disable_caching():
        outputs, node = run_get_node(AcceptanceWorkChain, **given, max_concurrent=limit)
    most, jobs = most_in_flight(node)
    assert (most, jobs) == (limit, 24)
    # Solid copper diffuses with neither: this is unknown, of each structure at both temperatures.
    assert node.is_finished_ok, node.exit_message
    checks = [check for check in outputs['verdict']['checks'] if check['name'].startswith('diffusion')]
    assert [check['passed'] for check in checks] == [None] * 4
    chains = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    transport = [link.node for link in chains if link.node.process_label == 'ConductivityWorkChain']
    found = sorted((next(iter(chain.inputs.structures)), chain.inputs.potential.uuid) for chain in transport)
    potentials = (given['student'].uuid, given['teacher'].uuid)
    assert found == sorted((label, uuid) for label in ('a', 'student_a') for uuid in potentials)


def test_the_ion_of_the_transport_is_asked_for_at_the_top(inputs):
    conductivity = {**TRANSPORT, 'transport': {'ion': 'Li'}}
    with pytest.raises(ValueError, match=r'structures\.copper: .*Li'):
        run_get_node(AcceptanceWorkChain, **inputs(conductivity=conductivity))


def test_the_paper_asks_for_two_orders_of_magnitude():
    assert AcceptanceWorkChain.protocol_parameters('dpa-sse')['limits']['speedup'] == 100.0


def test_transport_that_neither_keeps_is_unknown(inputs):
    """Runs that exceed a limit determine nothing where the teacher exceeds it as well."""
    conductivity = {**TRANSPORT, 'md': {**TRANSPORT['md'], 'stop_force': 1e-3}}
    outputs, node = run_get_node(AcceptanceWorkChain, **inputs(drift=None, conductivity=conductivity))
    assert node.is_finished_ok, node.exit_message
    checks = {check['name']: check['passed'] for check in outputs['verdict']['checks']}
    kept = [passed for name, passed in checks.items() if name.startswith('survives_transport_copper')]
    assert kept == [None] * len(TRANSPORT['temperatures'])
