"""Fine-tune the pre-trained potential of the quickstart to Li6PS5Br with half as many frames.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/finetune.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.finetune').get_builder_from_protocol(
    {'dp': 'dp@localhost', 'python': 'python@localhost'},
    protocol='demo',
    overrides={'split': {'test': 0.5}},
    frames=study.outputs.finetune_labels.frames,
    pretrained=study.outputs.pretrain.checkpoint,
)
results, node = engine.run_get_node(builder)
for name in ('zero_shot', 'fine_tuned'):
    errors = results['errors'][name]
    say(f'{name:>10}: {errors["energy_mae_meV_atom"]:.1f} meV/atom, {errors["force_mae_meV_A"]:.0f} meV/A')
