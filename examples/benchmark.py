"""Speed against the number of atoms: the quickstart's teacher and student.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/benchmark.py

Li6PS5Cl in three cells, one run after the other. Minutes on two cores, on which nothing else should run; then, for the
plot: AIIDA_PATH=out aiida-dpasse report PK -d page

With PKs it does the same for any potentials and one structure, in any profile:
verdi run examples/benchmark.py PK PK ...
"""

import sys

from aiida import engine, orm
from aiida.plugins import DataFactory, WorkflowFactory

from aiida_dpasse.cli.output import say

if pks := sys.argv[1:]:
    nodes = {f'node_{pk}': orm.load_node(pk) for pk in pks}
    potentials = {label: node for label, node in nodes.items() if isinstance(node, DataFactory('dpasse.potential'))}
    [structure] = (node for node in nodes.values() if isinstance(node, orm.StructureData))
else:
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
    study = query.first(flat=True)
    potentials = {'teacher': study.outputs.pretrain.frozen, 'student': study.outputs.distill.student}
    structure = study.inputs.structures.ordered

builder = WorkflowFactory('dpasse.benchmark').get_builder_from_protocol(
    {'lmp': 'lmp@localhost'}, protocol='demo', structure=structure, potentials=potentials
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}> ended with exit code {node.exit_status}')
for row in results['speed']['rows']:
    say(
        f'{row["potential"]:>10} {row["atoms"]:6} atoms: {row["katom_step_s"]:8.3g} katom-step/s, '
        f'{row["ns_day"]:8.3g} ns/day, {row["hours_million_steps"]:8.3g} h for a million steps'
        f'{" (disturbed)" if row["disturbed"] else ""}'
    )
for row in [*results['speed']['failed'], *results['speed']['skipped']]:
    say(f'{row["potential"]:>10} {row["atoms"]:6} atoms: no speed ({row["reason"]})')
for fit in results['speed']['fits']:
    grows = '' if fit['exponent'] is None else f'time ~ atoms^{fit["exponent"]:.2f}; '
    say(f'{fit["potential"]:>10} {grows}{fit["reason"]}')
