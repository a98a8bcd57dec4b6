"""Train one small potential on the labelled frames of the quickstart.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/train.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.train.base').get_builder_from_protocol(
    'dp@localhost',
    study.outputs.active_learning.frames,
    overrides={'preset': 'member-demo'},
)
results, node = engine.run_get_node(builder)
last = results['results']['last']
say(f'{node.process_label}<{node.pk}>: force RMSE {1000 * last["rmse_f_trn"]:.0f} meV/A')
