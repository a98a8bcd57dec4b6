"""Pre-train a DPA-2 potential on the frames of the quickstart, from another seed.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/pretrain.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.pretrain').get_builder_from_protocol(
    {'dp': 'dp@localhost', 'python': 'python@localhost'},
    protocol='demo',
    overrides={'seed': 2},
    frames=study.outputs.active_learning.frames,
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}>: {results["errors"].get_dict()}')
