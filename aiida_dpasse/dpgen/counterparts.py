"""Keys of DP-GEN's param.json without a counterpart, and what to use instead."""

from __future__ import annotations

from typing import Any

from aiida_dpasse.dpgen.keys import Keys
from aiida_dpasse.dpgen.training import FROM_SCRATCH

_ADAPT = 'levels that adapt are `explore.trust.mode` adaptive or calibrated, which count differently'
_VIRIAL = 'frames are chosen by the deviation of the forces only'
_CLUSTERS = 'no clusters are cut out of a cell: whole periodic frames are labelled'
_PLUMED = 'no run is biased by PLUMED'
_CALYPSO = 'it belongs to exploration with CALYPSO'
#: The reason for each key, and the values that correspond to the behaviour here.
KEYS: dict[str, tuple[str, tuple[Any, ...]]] = {
    'mass_map': ('runs have the standard atomic weights', ('auto',)),
    'use_ele_temp': ('potentials have no electronic temperature', (0,)),
    'mlp_engine': ('potentials are those of DeePMD-kit', ('dp',)),
    'training_iter0_model_path': (FROM_SCRATCH, ([],)),
    'training_init_model': (FROM_SCRATCH, (False, None)),
    'training_init_frozen_model': (FROM_SCRATCH, (None,)),
    'training_finetune_model': (FROM_SCRATCH, (None,)),
    'training_reuse_iter': (FROM_SCRATCH, (None,)),
    'training_reuse_old_ratio': (FROM_SCRATCH, ('auto',)),
    'training_reuse_numb_steps': (FROM_SCRATCH, (None,)),
    'training_reuse_stop_batch': (FROM_SCRATCH, (None,)),
    'training_reuse_start_lr': (FROM_SCRATCH, (None,)),
    'training_reuse_start_pref_e': (FROM_SCRATCH, (None,)),
    'training_reuse_start_pref_f': (FROM_SCRATCH, (None,)),
    'dp_train_skip_neighbor_stat': ('the statistics of neighbours are always made', (False,)),
    'model_devi_activation_func': ('the members differ in their seeds only', (None,)),
    'srtab_file_path': ('no table of pairs is laid under the potential', (None,)),
    'one_h5': ('training jobs are given folders of .npy files', (False,)),
    'model_devi_skip': ('to leave out the start of each run, set `explore.md.equilibration`', (0,)),
    'model_devi_e_trust_lo': (_VIRIAL, (1e10, None)),
    'model_devi_e_trust_hi': (_VIRIAL, (1e10, None)),
    'model_devi_v_trust_lo': (_VIRIAL, (1e10, None)),
    'model_devi_v_trust_hi': (_VIRIAL, (1e10, None)),
    'model_devi_adapt_trust_lo': (_ADAPT, (False,)),
    'model_devi_numb_candi_f': (_ADAPT, ()),
    'model_devi_numb_candi_v': (_ADAPT, ()),
    'model_devi_perc_candi_f': (_ADAPT, ()),
    'model_devi_perc_candi_v': (_ADAPT, ()),
    'model_devi_f_avg_relative': ('deviations are relative to the force itself or not at all', (False,)),
    'model_devi_merge_traj': ('the sampled frames of a run are one node', (True, False)),
    'model_devi_nopbc': ('all cells are periodic', (False,)),
    'model_devi_plumed': (_PLUMED, (False,)),
    'model_devi_plumed_path': (_PLUMED, (False,)),
    'model_devi_neidelay': ('neighbours are looked for whenever an atom has moved far enough', ()),
    'shuffle_poscar': ('elements are not shuffled: make structures with `aiida_dpasse.structures.disorder`', (False,)),
    'use_relative_v': (_VIRIAL, (False,)),
    'epsilon_v': (_VIRIAL, ()),
    'lmp_d3': ('no dispersion is added to the potential: label with it', (None, {})),
    'lmp_neigh_modify_one': ('it serves `lmp_d3` only', ()),
    'fp_task_min': ('candidates are labelled however few they are', (0, 1)),
    'fp_accurate_soft_threshold': ('the number of labels does not fall before `accurate_fraction` is reached', ()),
    'fp_cluster_vacuum': (_CLUSTERS, (None,)),
    'use_clusters': (_CLUSTERS, (False,)),
    'cluster_cutoff': (_CLUSTERS, ()),
    'cluster_cutoff_hard': (_CLUSTERS, ()),
    'cluster_minify': (_CLUSTERS, (False,)),
    'use_atom_pref': ('all atoms count alike in the loss', (False,)),
    'sys_charges': ('cells are neutral, or set CHARGE in `label.cp2k.input`', ([],)),
    'detailed_report_make_fp': ('the frames of each class are counted by run in `statistics`', (True, False)),
    'fp_skip_bad_box': ('cells are not judged: `label.minimum_distance` rejects atoms too near', (None,)),
    'pretty_print': ('nothing is written beside the nodes', (False,)),
    'pretty_format': ('nothing is written beside the nodes', ()),
    'model_devi_max_iter': (_CALYPSO, ()),
    'calypso_input_path': (_CALYPSO, ()),
    'vsc': (_CALYPSO, (False,)),
    'gromacs_settings': ('it belongs to exploration with GROMACS', ()),
}


def leave_counterparts(keys: Keys) -> None:
    """Record the keys without a counterpart, with the reason or an alternative.

    :param keys: keys of param.json.
    """
    for name, (why, off) in KEYS.items():
        keys.leave(name, why, off)
    keys.leave_rest()
