"""A convergence study of a solid that does not diffuse, and its recommendation against numbers by hand."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_dpasse.dynamics.convergence import ConvergenceWorkChain
from aiida_dpasse.dynamics.tabulate_convergence import recommend
from aiida_dpasse.reports.provenance import orphans
from aiida_dpasse.reports.report import report_text, write_report

EXIT = ConvergenceWorkChain.exit_codes
MD = {'ensemble': 'nvt', 'timestep': 1.0, 'trajectory_interval': 2, 'thermo_interval': 20}
PARAMETERS = {
    'supercells': [[1, 1, 1]],
    'steps': [32, 64],
    'replicas': 2,
    'temperature': 300,
    'md': {**MD, 'equilibration': {'ensemble': 'nvt', 'steps': 10}},
    'transport': {'ion': 'Cu'},
    'relative_error': 0.1,
    'seed': 1,
}


@pytest.fixture
def inputs(codes, copper, copper_committee):
    """Inputs of a study; keywords change its parameters."""

    def make(**changes):
        return {
            'codes': {name: codes[name] for name in ConvergenceWorkChain.CODES},
            'structure': copper,
            'potential': copper_committee.outputs.potentials['member_00'],
            'parameters': orm.Dict(PARAMETERS | changes),
        }

    return make


def test_solid_copper_recommends_nothing(inputs, tmp_path):
    outputs, node = run_get_node(ConvergenceWorkChain, **inputs())
    assert node.exit_status == EXIT.ERROR_NOT_CONVERGED.status
    assert outputs['convergence']['reason'] in node.exit_message
    short, long = outputs['convergence']['points']
    # The short ones are the beginning of the long ones.
    assert (short['ions'], short['runs'], short['diffusive']) == (long['ions'], long['runs'], long['diffusive'])
    assert (short['ions'], short['runs'], short['diffusive']) == (32, 2, 0)
    assert (short['duration_ps'], long['duration_ps']) == (pytest.approx(0.032), pytest.approx(0.064))
    assert orphans(node) == []
    assert 'longest runs are undetermined' in report_text(node)
    assert tmp_path / 'convergence.png' in write_report(node, tmp_path)


def point(ions, duration, value, spread, diffusive=3):
    return {
        'ions': ions,
        'duration_ps': duration,
        'runs': 3,
        'diffusive': diffusive,
        'diffusivity_cm2_s': value,
        'spread_cm2_s': spread,
        'error_cm2_s': spread / 3**0.5,
        'reason': None if diffusive == 3 else 'The ions rattle.',
    }


def test_the_cheapest_good_point_is_recommended():
    best = point(400, 500, 1.00, 0.05)
    good = point(100, 500, 1.03, 0.09)
    noisy, wrong, caged = point(100, 100, 1.0, 0.3), point(50, 500, 1.6, 0.1), point(50, 900, 1.0, 0.05, diffusive=2)
    chosen, reason = recommend([noisy, wrong, good, best, caged], 0.1)
    assert chosen == good
    assert '100 ions' in reason
    assert '500 ps' in reason
    assert recommend([noisy, best], 0.1)[0] == best
    assert recommend([good, point(400, 500, 1.0, 0.2)], 0.1)[0] is None
    assert recommend([good, point(400, 500, 1.0, 0.05, diffusive=1)], 0.1)[1].endswith('The ions rattle.')
    assert recommend([], 0.1)[0] is None


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'replicas': 1}, '`replicas`'),
        ({'steps': [20]}, r'`steps` \(20\) .*`md.trajectory_interval` \(2\)'),
        ({'md': MD | {'final_temperature': 900}}, '`md.final_temperature`'),
        ({'md': MD | {'steps': 100}}, '`md.steps`'),
        ({'transport': {'ion': 'Li'}}, 'structure: '),
    ],
)
def test_impossible_studies_are_refused(inputs, changes, message):
    with pytest.raises(ValueError, match=message):
        run_get_node(ConvergenceWorkChain, **inputs(**changes))


def test_a_cell_that_cannot_be_repeated(inputs):
    _, node = run_get_node(ConvergenceWorkChain, **inputs(supercells=[[60, 60, 60]]))
    assert node.exit_status == EXIT.ERROR_STRUCTURES.status
