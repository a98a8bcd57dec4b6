"""Figures 2 c, d and S1 of the paper at small size: the quickstart's potentials near equilibrium and during heating.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/test_sets.py

The teacher runs Li6PS5Cl, at 50 K for ten steps and heated from 150 to 1150 K; CHGNet labels the sampled frames, on
which teacher and student are tested. About five minutes on two cores; for the plots:
AIIDA_PATH=out aiida-dpasse report PK -d page
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

CODES = {name: f'{name}@localhost' for name in ('lmp', 'python')}

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)
teacher = study.outputs.pretrain.frozen

builder = WorkflowFactory('dpasse.test_sets').get_builder_from_protocol(
    CODES,
    protocol='demo',
    structures={'ordered': study.inputs.structures.ordered},
    potential=teacher,
    calculator=orm.Dict({'name': 'chgnet'}),
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}> ended with exit code {node.exit_status}')

builder = WorkflowFactory('dpasse.validate').get_builder_from_protocol(
    CODES,
    protocol='demo',
    potentials={'teacher': teacher, 'student': study.outputs.distill.student},
    test_sets={name: results[name] for name in ('near_equilibrium', 'heating')},
    overrides={'temperatures': results['temperatures'].get_dict()},
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}> ended with exit code {node.exit_status}')
for test in results['report_card']['tests']:
    for row in test['per_temperature']:
        say(
            f'{test["potential"]:>8} on {test["set"]:>16}, {row["temperature_K"]:4.0f} K: '
            f'{row["energy_mae_meV_atom"]:6.2f} meV/atom ({row["energy_mean_meV_atom"]:+.2f}), '
            f'{row["force_mae_meV_A"]:5.0f} meV/A'
        )
