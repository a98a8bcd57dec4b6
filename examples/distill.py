"""Distil the pre-trained potential of the quickstart for ordered Li6PS5Cl alone.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/distill.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.distill').get_builder_from_protocol(
    {'dp': 'dp@localhost', 'lmp': 'lmp@localhost', 'python': 'python@localhost'},
    protocol='demo',
    teacher=study.outputs.pretrain.frozen,
    structures={'ordered': study.inputs.structures.ordered},
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}>: the student is {results["speed"]["ratio"]:.0f} times as fast as its teacher')
