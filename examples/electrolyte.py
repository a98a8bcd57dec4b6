"""The last phase of a study alone: with the student of the quickstart as input, only the dynamics is run.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/electrolyte.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.electrolyte').get_builder_from_protocol(
    {'dp': 'dp@localhost', 'lmp': 'lmp@localhost', 'python': 'python@localhost'},
    protocol='demo',
    overrides={'seed': 3},
    electrolyte=dict(study.inputs.electrolyte),
    student=study.outputs.distill.student,
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}>: {results["summary"].get_dict()}')
