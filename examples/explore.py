"""Explore Li6PS5Cl with the committee of the quickstart, and select the candidates for labelling.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/explore.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.explore').get_builder_from_protocol(
    {'lmp': 'lmp@localhost'},
    protocol='demo',
    overrides={'temperatures': [400, 800], 'pressures': [0.0], 'runs': 2},
    structures={'ordered': study.inputs.structures.ordered},
    potentials=dict(study.outputs.active_learning.potentials),
)
results, node = engine.run_get_node(builder)
statistics = results['statistics'].get_dict()
counts = ', '.join(f'{statistics[key]} {key}' for key in ('accurate', 'candidate', 'failed'))
say(f'{node.process_label}<{node.pk}>: {counts}')
