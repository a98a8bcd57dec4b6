"""The report card of the quickstart's potentials, and of the calculator that made their labels.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/validate.py

The fine-tuned potential, the one it was tuned from and CHGNet are tested on frames that no training used. CHGNet
labelled them, so that its errors are 0. Minutes on two cores; then, for the plots:
AIIDA_PATH=out aiida-dpasse report PK -d page

With PKs it does the same for any potentials and test sets, in any profile: verdi run examples/validate.py PK PK ...
"""

import sys

from aiida import engine, orm
from aiida.plugins import DataFactory, WorkflowFactory

from aiida_dpasse.cli.output import say

calculators = {}
if pks := sys.argv[1:]:
    nodes = {f'node_{pk}': orm.load_node(pk) for pk in pks}
    potentials = {label: node for label, node in nodes.items() if isinstance(node, DataFactory('dpasse.potential'))}
    test_sets = {label: node for label, node in nodes.items() if isinstance(node, DataFactory('dpasse.frames'))}
else:
    query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
    study = query.first(flat=True)
    potentials = {'zero_shot': study.outputs.pretrain.frozen, 'fine_tuned': study.outputs.finetune.frozen}
    test_sets = {'bromide': study.outputs.finetune.test_data, 'chloride': study.outputs.pretrain.test_data}
    calculators = {'chgnet': orm.Dict({'name': 'chgnet'})}

builder = WorkflowFactory('dpasse.validate').get_builder_from_protocol(
    {'python': 'python@localhost'},
    protocol='demo',
    potentials=potentials,
    calculators=calculators,
    test_sets=test_sets,
    # The last potential describes the frames.
    overrides={'descriptors': {'potential': list(potentials)[-1]}},
)
node = engine.run_get_node(builder)[1]
say(f'{node.process_label}<{node.pk}> ended with exit code {node.exit_status}')
for test in node.outputs.report_card['tests']:
    if not test['admitted']:
        say(f'{test["potential"]:>10} on {test["set"]:>8}: no prediction ({test["failed"][0]["reason"]})')
        continue
    say(
        f'{test["potential"]:>10} on {test["set"]:>8}: {test["energy_mae_meV_atom"]:8.2f} meV/atom '
        f'({test["energy_mean_meV_atom"]:+.2f}), {test["force_mae_meV_A"]:7.1f} meV/A, slope {test["force_slope"]:.3f}'
    )
