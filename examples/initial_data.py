"""First labelled frames of rock-salt LiCl: perturbed cells, a little heat, labels by CHGNet.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/initial_data.py
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say
from aiida_dpasse.structures.prototypes import rock_salt

builder = WorkflowFactory('dpasse.initial_data').get_builder_from_protocol(
    {'python': 'python@localhost'},
    protocol='demo',
    structures={'licl': orm.StructureData(pymatgen=rock_salt('Cl'))},
    calculator=orm.Dict({'name': 'chgnet'}),
)
results, node = engine.run_get_node(builder)
account = results['account'].get_dict()
say(f'{node.process_label}<{node.pk}>: {account["admitted"]} of {account["requested"]} frames admitted')
