"""How many frames of Li6PS5Br the pre-trained potential of the quickstart needs, beside training from scratch.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/learning_curve.py

Some seven minutes on two cores: four fine-tunings, six trainings from scratch, four alignments. The report draws the
paper's figure 4 c and d: AIIDA_PATH=out aiida-dpasse report PK
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)

builder = WorkflowFactory('dpasse.learning_curve').get_builder_from_protocol(
    {'dp': 'dp@localhost', 'python': 'python@localhost'},
    protocol='demo',
    frames=study.outputs.finetune_labels.frames,
    pretrained=study.outputs.pretrain.checkpoint,
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}>: errors on {results["test_data"].frames} frames held out')
for row in results['sample_efficiency']['summary']:
    say(
        f'{row["kind"]:>12}, {row["frames"]:3d} frames: {row["energy_mae_meV_atom"]:7.1f} meV/atom, '
        f'{row["force_mae_meV_A"]:5.0f} meV/A'
    )
