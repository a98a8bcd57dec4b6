"""One iteration of active learning, which continues from the frames of the quickstart.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/active_learning.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.active_learning').get_builder_from_protocol(
    {'dp': 'dp@localhost', 'lmp': 'lmp@localhost', 'python': 'python@localhost'},
    protocol='demo',
    overrides={'max_active_iterations': 1, 'explore': {'runs': 2, 'max_candidates': 5}},
    frames=study.outputs.active_learning.frames,
    structures={'ordered': study.inputs.structures.ordered},
    calculator=study.inputs.calculator,
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}>: {results["iterations"]["verdict"]}')
