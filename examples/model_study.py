"""Number of the quickstart's frames that a small potential needs for a converged diffusion coefficient.

In the quickstart's profile: AIIDA_PATH=out verdi -p quickstart run examples/model_study.py

A DeepPot-SE model is trained on 20, 60 and 180 of the frames that CHGNet labelled there, and runs Li6PS5Cl with half of
its free S and Cl exchanged; the quickstart's student is compared with it. Nine minutes on two cores; for the plots:
AIIDA_PATH=out aiida-dpasse report PK -d page
"""

from aiida import engine, orm
from aiida.plugins import WorkflowFactory

from aiida_dpasse.cli.output import say
from aiida_dpasse.distill.select_compounds import compounds_of, select_compounds

query = orm.QueryBuilder().append(orm.WorkChainNode, filters={'process_type': 'aiida.workflows:dpasse.electrolyte'})
study = query.first(flat=True)
# The student knows Li6PS5Cl alone.
compounds = orm.Dict({'compounds': compounds_of(study.inputs.electrolyte.values())})
frames = {name: select_compounds(study.outputs.pretrain[name], compounds) for name in ('training_data', 'test_data')}

builder = WorkflowFactory('dpasse.model_study').get_builder_from_protocol(
    {name: f'{name}@localhost' for name in ('dp', 'lmp', 'python')},
    protocol='demo',
    overrides={'models': {'dpa2': None}, 'sizes': [20, 60, 180]},
    training_data={'chgnet': frames['training_data']},
    test_data=frames['test_data'],
    structures=dict(study.inputs.electrolyte),
    potentials={'student': study.outputs.distill.student},
)
results, node = engine.run_get_node(builder)
say(f'{node.process_label}<{node.pk}> ended with exit code {node.exit_status}')
for row in results['model_study']['summary']:
    values = ', '.join(
        f'{entry["temperature_K"]:g} K: {entry["diffusivity_cm2_s"]:.1e} cm2/s'
        for entry in row['diffusivities']
        if entry['determined']
    )
    name = row['model'] if row['frames'] is None else f'{row["model"]}, {row["frames"]} frames'
    say(f'{name:>20}: {row["force_rmse_meV_A"]:4.0f} meV/A; {values or "no diffusion"}')
for verdict in results['model_study']['enough']:
    say(verdict['reason'])
