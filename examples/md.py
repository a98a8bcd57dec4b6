"""Molecular dynamics of Li6PS5Cl with the student of the quickstart.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/md.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.md.base').get_builder()
builder.md.code = orm.load_code('lmp@localhost')
builder.md.structure = study.inputs.structures.ordered
builder.md.potentials = {'student': study.outputs.distill.student}
builder.md.parameters = orm.Dict({'ensemble': 'nvt', 'temperature': 600, 'steps': 1000, 'seed': 1})
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}>: {results["results"]["katom_steps_per_s"]:.1f} katom-step/s')
