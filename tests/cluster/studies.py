"""What is run under faults, of the smallest sizes, and what of it has to be equal without them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder
from ase.build import bulk
from ase.calculators.emt import EMT
from cluster import OPTIONS

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.study.electrolyte import ElectrolyteWorkChain

PREFACTORS = {'start_pref_e': 0.02, 'limit_pref_e': 1, 'start_pref_f': 1000, 'limit_pref_f': 1}
#: A restarted training sees its frames in another order than an undisturbed one, and gives other weights. So no
#: checkpoint is written before the end: one that is killed begins anew, and has to come to the same potential.
TRAINING = {'numb_steps': 200, 'disp_freq': 10, 'save_freq': 200, 'training_data': {'batch_size': 1}}
STUDENT = {
    'backend': 'tensorflow',
    'freeze': True,
    'compress': False,
    'input': {
        'model': {
            'descriptor': {
                'type': 'se_e2_a',
                'sel': 'auto:1.5',
                'rcut': 4.5,
                'rcut_smth': 0.5,
                'neuron': [4, 8],
                'axis_neuron': 2,
            },
            'fitting_net': {'neuron': [16, 16]},
        },
        'learning_rate': {'type': 'exp', 'start_lr': 5e-3, 'stop_lr': 1e-4, 'decay_steps': 50},
        'loss': {'type': 'ener', **PREFACTORS},
        'training': TRAINING,
    },
}
REPINIT = {'rcut': 4.5, 'rcut_smth': 0.5, 'nsel': 60, 'tebd_dim': 4, 'neuron': [4, 8], 'axis_neuron': 2}
REPFORMER = {'rcut': 3.5, 'rcut_smth': 2.5, 'nsel': 24, 'nlayers': 1, 'g1_dim': 8, 'g2_dim': 4, 'axis_neuron': 2}
SWITCHES = {'update_g1_has_attn': False, 'update_g2_has_g1g1': False, 'update_g2_has_attn': False}
TEACHER = {
    'backend': 'pytorch',
    'input': {
        'model': {
            'descriptor': {
                'type': 'dpa2',
                'repinit': {**REPINIT, 'tebd_input_mode': 'strip'},
                'repformer': {
                    **REPFORMER,
                    **SWITCHES,
                    'update_style': 'res_residual',
                    'update_residual_init': 'norm',
                },
                'add_tebd_to_repinit_out': False,
            },
            'fitting_net': {'neuron': [16, 16]},
        },
        'learning_rate': {'type': 'exp', 'start_lr': 5e-3, 'stop_lr': 1e-4, 'decay_steps': 6},
        'loss': {'type': 'ener', **PREFACTORS},
        'training': {'numb_steps': 30, 'disp_freq': 5, 'save_freq': 30, 'training_data': {'batch_size': 1}},
    },
}
PERTURB = {'cell_fraction': 0.01, 'displacement': 0.05, 'closest': 1.0}
DATA = {
    'supercell': [1, 1, 1],
    'scales': [1.0],
    'dynamics': None,
    'label': {'max_force': 50.0},
    'perturbations': {'number': 8, **PERTURB},
    'seed': 1,
}
EXPLORE = {
    'supercell': [1, 1, 1],
    'temperatures': [300.0],
    'pressures': [0.0],
    'replicas': 2,
    'runs': None,
    'md': {'ensemble': 'nvt', 'timestep': 0.5, 'steps': 20, 'sample_interval': 2},
    'trust': {'mode': 'adaptive', 'low': 0.001, 'high': 5.0, 'quantile': 0.3, 'explosion': 100.0},
    'max_candidates': 6,
    'max_per_structure': None,
    'seed': 1,
}
#: It never converges, so that it runs all its iterations.
LEARNING = {
    'final_committee': False,
    'validation': 4,
    'convergence': {'accurate_fraction': 1.0, 'maximum_force_rmse': 1e-6, 'maximum_force_change': None},
    'committee': {'members': 2, 'minimum_members': 2, 'train': STUDENT, 'seed': 1},
    'explore': EXPLORE,
    'label': {'max_force': 50.0, 'batch_size': 4},
    'seed': 1,
}


def crystals() -> dict[str, orm.StructureData]:
    """Return copper and gold, eight atoms each, and an alloy of both; stored once, found afterwards."""
    found = {}
    alloy = bulk('Cu', cubic=True, a=3.8) * (2, 1, 1)
    alloy.symbols[[0, 3, 4]] = 'Au'
    copper, gold = (bulk(name, cubic=True) * (2, 1, 1) for name in ('Cu', 'Au'))
    for name, atoms in {'copper': copper, 'gold': gold, 'alloy': alloy}.items():
        query = orm.QueryBuilder().append(orm.StructureData, filters={'label': name})
        found[name] = query.first(flat=True) or orm.StructureData(ase=atoms, label=name).store()
    return found


def first_frames() -> FramesData:
    """Return twelve rattled frames of copper with EMT's labels, stored once."""
    query = orm.QueryBuilder().append(FramesData, filters={'label': 'first frames'})
    if query.count():
        return query.first(flat=True)
    frames = []
    for seed in range(12):
        atoms = crystals()['copper'].get_ase()
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        atoms.get_stress()
        frames.append(atoms)
    node = FramesData.from_ase(frames)
    node.label = 'first frames'
    return node.store()


def active_learning(codes: Mapping[str, orm.Code], iterations: int = 2) -> ProcessBuilder:
    """Return a loop over copper that labels by EMT."""
    return ActiveLearningWorkChain.get_builder_from_protocol(
        codes,
        protocol='demo',
        frames=first_frames(),
        structures={'copper': crystals()['copper']},
        calculator=orm.Dict({'name': 'emt'}),
        overrides={'max_active_iterations': iterations, **LEARNING},
        **machine(),
    )


def electrolyte(codes: Mapping[str, orm.Code]) -> ProcessBuilder:
    """Return the whole study: copper and gold pre-trained, fine-tuned to their alloy, copper simulated."""
    metals = crystals()
    conductivity = {
        'supercell': [1, 1, 1],
        'replicas': 2,
        'temperatures': [300.0],
        'transport': {'ion': 'Cu'},
        'md': {
            'steps': 60,
            'timestep': 0.5,
            'equilibration': {'ensemble': 'npt', 'steps': 10},
            'trajectory_interval': 2,
            'thermo_interval': 10,
        },
    }
    distill = {
        'supercell': [1, 1, 1],
        'scales': [1.0],
        'perturbations': {'number': 4, **PERTURB},
        'dynamics': {
            'starts': 2,
            'frames': 4,
            'md': {'ensemble': 'npt', 'timestep': 0.5, 'steps': 20, 'temperature': 300.0},
        },
        'sample_perturbations': {'number': 2, **PERTURB},
        'label': {'max_force': 100.0},
        'split': {'test': 4},
        'train': STUDENT,
        'students': 2,
        'seed': 1,
    }
    overrides = {
        'initial_data': DATA,
        'active_learning': {'max_active_iterations': 1, **LEARNING},
        'pretrain': {'train': TEACHER, 'split': {'test': 4}, 'seed': 1},
        'finetune_labels': DATA,
        'finetune': {'train': {**TEACHER, 'finetune': {}}, 'split': {'test': 2}, 'seed': 1},
        'distill': distill,
        'conductivity': conductivity,
        'reference': conductivity,
        'seed': 7,
    }
    return ElectrolyteWorkChain.get_builder_from_protocol(
        codes,
        protocol='demo',
        overrides=overrides,
        structures={name: metals[name] for name in ('copper', 'gold')},
        finetune_structures={'alloy': metals['alloy']},
        electrolyte={'copper': metals['copper']},
        reference=metals['copper'],
        calculator=orm.Dict({'name': 'emt'}),
        **machine(),
    )


def machine() -> dict[str, Any]:
    """Return what both say of the machine: two jobs at once, each started as often as faults may hit it."""
    return {'options': {'default': OPTIONS}, 'max_concurrent': 2, 'max_iterations': orm.Int(8)}


CHAINS = {'active_learning': active_learning, 'electrolyte': electrolyte}
#: What a run measures of its machine, or names by nodes of its own.
MEASURED = ('speedup', 'wall_time', 'uuid', 'katom', 'seconds')


def digest(node: orm.ProcessNode) -> dict[str, Any]:
    """Return what has to be equal with and without faults: exit code, frames, accounts and verdicts.

    The tables hold errors to the last digit, so that other weights of a potential would show.
    """
    message = re.sub(r'<\d+>', '', node.exit_message or '')
    found: dict[str, Any] = {'exit_status': node.exit_status, 'exit_message': message}
    for link in node.base.links.get_outgoing(node_class=orm.Data).all():
        if isinstance(link.node, FramesData):
            found[link.link_label] = [link.node.frames, _hash(sorted(link.node.ids()))]
        elif link.link_label.rpartition('__')[2] in ('account', 'iterations', 'summary', 'report_card'):
            found[link.link_label] = _without_measures(link.node.get_dict())
    return found


def _without_measures(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _without_measures(item) for key, item in sorted(value.items()) if not any(m in key for m in MEASURED)
        }
    if isinstance(value, list | tuple):
        return [_without_measures(item) for item in value]
    return value


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]
