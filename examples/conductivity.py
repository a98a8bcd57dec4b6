"""Conductivity of half-exchanged Li6PS5Cl with the student of the quickstart, from another seed.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/conductivity.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.conductivity').get_builder_from_protocol(
    {'lmp': 'lmp@localhost', 'python': 'python@localhost'},
    protocol='demo',
    overrides={'seed': 2},
    structures=dict(study.inputs.electrolyte),
    potential=study.outputs.distill.student,
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}>: {results["arrhenius"]["reason"]}')
for row in results['transport']['temperatures']:
    say(f'{row["temperature_K"]:6.0f} K  D = {row["diffusivity_cm2_s"]} cm^2/s  {row["reason"]}')
