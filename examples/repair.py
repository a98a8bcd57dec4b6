"""A study whose teacher was trained on a tenth of the quickstart's frames, and which repairs it.

In the quickstart's profile, half an hour on two cores: AIIDA_PATH=out verdi -p quickstart run examples/repair.py

With an argument, the number of rounds after which the study gives up: 1 shows how it ends then.
"""

import sys
from pathlib import Path

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.frames.split_frames import split_frames
from aiida_dpasse.reports.report import report_text, write_report

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.order_by({orm.WorkChainNode: 'ctime'}).first(flat=True)
frames = study.outputs.active_learning.frames
few = split_frames(frames, orm.Dict({'test': 0.9, 'seed': 1}))['training']
print(f'{few.frames} of {frames.frames} frames')

builder = WorkflowFactory('dpasse.electrolyte').get_builder_from_protocol(
    {name: f'{name}@localhost' for name in ('dp', 'lmp', 'python')},
    protocol='demo',
    overrides={'repair': {'max_rounds': rounds}},
    active_learning_frames=few,
    electrolyte=dict(study.inputs.electrolyte),
    calculator=study.inputs.calculator,
    max_concurrent=2,
)
node = engine.run_get_node(builder).node
print(report_text(node))
write_report(node, Path(f'out/repair_{rounds}'))
