"""Label a few frames of the quickstart anew, with its teacher instead of CHGNet.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/label.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.label').get_builder_from_protocol(
    {'python': 'python@localhost'},
    protocol='demo',
    frames=study.outputs.pretrain.test_data,
    potential=study.outputs.pretrain.frozen,
)
results, node = engine.run_get_node(builder)
account = results['account'].get_dict()
say(f'{node.process_label}<{node.pk}>: {account["admitted"]} of {account["requested"]} frames admitted')
