"""Acceptance test of two students of the quickstart's teacher: the quickstart's own, and a barely trained one.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/acceptance.py

The second is distilled here with a hundredth of the training steps; it is not accepted, and the exit message gives the
reasons. About five minutes on two cores.
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say

CODES = {name: f'{name}@localhost' for name in ('dp', 'lmp', 'python')}


def summarize(node: orm.WorkChainNode) -> None:
    """Print the verdict and every check."""
    verdict = node.outputs.verdict
    say(f'{node.process_label}<{node.pk}>: {"accepted" if verdict["accepted"] else "not accepted"}')
    for check in verdict['checks']:
        say(f'  {({True: "passed", False: "FAILED", None: "-"})[check["passed"]]:>6}  {check["says"]}')


query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)
structures = {'ordered': study.inputs.structures.ordered}

builder = WorkflowFactory('dpasse.acceptance').get_builder_from_protocol(
    CODES,
    protocol='demo',
    student=study.outputs.distill.student,
    teacher=study.outputs.pretrain.frozen,
    structures=structures,
    frames=study.outputs.distill.test_data,
)
summarize(engine.run_get_node(builder)[1])

builder = WorkflowFactory('dpasse.distill').get_builder_from_protocol(
    CODES,
    protocol='demo',
    overrides={'train': {'input': {'training': {'numb_steps': 25}}}, 'acceptance': {}},
    teacher=study.outputs.pretrain.frozen,
    structures=structures,
)
node = engine.run_get_node(builder)[1]
say(f'{node.process_label}<{node.pk}> ended with exit code {node.exit_status}: {node.exit_message}')
if 'verdict' in node.outputs:
    summarize(node)
