"""Train a committee of two on the labelled frames of the quickstart.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/committee.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.committee').get_builder_from_protocol(
    {'dp': 'dp@localhost'},
    protocol='demo',
    overrides={'members': 2},
    training_data=study.outputs.active_learning.frames,
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}>: {", ".join(sorted(results["potentials"]))}')
