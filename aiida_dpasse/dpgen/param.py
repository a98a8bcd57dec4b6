"""Convert the parameters of `dpgen run` into those of `dpasse.active_learning`, and list those without a counterpart.

DP-GEN uses ps, bar and eV/A; the parameters here fs, GPa and eV/A.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiida_dpasse.dpgen.counterparts import leave_counterparts
from aiida_dpasse.dpgen.exploration import choice, explore_parameters, read_jobs
from aiida_dpasse.dpgen.keys import Keys, Ledger, Unmatched, listed, number, read_json, shortened
from aiida_dpasse.dpgen.labels import read_labels
from aiida_dpasse.dpgen.machine import read_machine
from aiida_dpasse.dpgen.training import INPUT, read_committee

NO_FILE = 'no such file is here: hand in its structures yourself'


@dataclass(frozen=True)
class Conversion:
    """Inputs of `dpasse.active_learning` that correspond to DP-GEN's files."""

    #: Parameters that differ from those of a protocol, to be merged into it.
    overrides: dict[str, Any]
    #: Sections, by their place in the parameters, that DP-GEN defines completely: they replace those of the protocol,
    #: instead of being merged with them.
    sections: dict[str, dict[str, Any]]
    #: Scheduler options by program.
    options: dict[str, dict[str, Any]]
    #: Other inputs of the work chain.
    inputs: dict[str, Any]
    #: Files of the structures to explore by label, and their format by its name in dpdata.
    structures: dict[str, Path]
    structure_format: str
    type_map: list[str]
    #: Folders of the initial labelled frames.
    datasets: list[Path]
    #: Labelling code, `vasp` or `cp2k`; None for any other.
    labeller: str | None
    #: Name of the parameter here by DP-GEN's key.
    mapped: dict[str, str]
    unmatched: list[Unmatched]

    def complete(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters with the complete sections in place.

        :param parameters: a protocol merged with the overrides.
        """
        return replace_sections(parameters, self.sections)


def read_dpgen(param: str | Path, machine: str | Path | None = None) -> Conversion:
    """Convert a param.json and, optionally, a machine.json.

    Relative paths refer to the folder of ``param``. Missing files are listed among the unmatched keys.

    :param param: path of param.json.
    :param machine: path of machine.json.
    :raises ValueError: if a file cannot be read, a required key is missing, or a value is not accepted by DP-GEN.
    """
    folder, ledger = Path(param).resolve().parent, Ledger()
    keys = Keys(read_json(param), ledger)
    engine = keys.take('model_devi_engine', 'codes.lmp', 'lammps')
    if engine != 'lammps':
        raise ValueError(f'`model_devi_engine` should be lammps: exploration by {engine} has no counterpart.')
    committee, training = read_committee(keys)
    systems = listed(keys.need('sys_configs', 'structures'), 'sys_configs')
    jobs = read_jobs(keys, len(systems))
    used = {index for job in jobs for index in job.systems}
    structures = find_structures(keys, systems, used, folder)
    single = len({label.split('_')[1] for label in structures}) == len(structures) == len(used)
    datasets = find_datasets(keys, folder)
    labeller, label = read_labels(keys, folder)
    overrides = {**explore_parameters(keys, jobs), 'committee': committee}
    overrides['explore'] |= choice(keys, jobs, single=single)
    if 'fp_accurate_threshold' in keys:
        fraction = number(keys.take('fp_accurate_threshold', 'convergence.accurate_fraction'), 'fp_accurate_threshold')
        if not 0 < fraction <= 1:
            raise ValueError(f'`fp_accurate_threshold` should be above 0 and at most 1, got {fraction}.')
        overrides['convergence'] = {'accurate_fraction': fraction}
    inputs = {}
    if 'model_devi_clean_traj' in keys:
        if isinstance(clean := keys.take('model_devi_clean_traj', 'clean_workdir'), bool):
            inputs['clean_workdir'] = clean
        else:
            keys.leave('model_devi_clean_traj', 'jobs keep their working directories, or `clean_workdir` removes them')
    leave_counterparts(keys)
    options: dict[str, Any] = {}
    if machine is not None:
        options, batch = read_machine(read_json(machine), labeller, ledger)
        label |= {'batch_size': batch} if batch else {}
    overrides |= {'label': label} if label else {}
    return Conversion(
        overrides=overrides,
        sections={INPUT: training},
        options=options,
        inputs=inputs,
        structures=structures,
        structure_format=str(keys.take('sys_format', 'structures', 'vasp/poscar')),
        type_map=training['model']['type_map'],
        datasets=datasets,
        labeller=labeller,
        mapped=ledger.mapped,
        unmatched=ledger.unmatched,
    )


def find_structures(keys: Keys, systems: list[Any], used: Iterable[int], folder: Path) -> dict[str, Path]:
    """Return the structure files of the systems that a job explores.

    :param keys: keys of param.json.
    :param systems: entries of `sys_configs`.
    :param used: indices of the systems that are explored.
    :param folder: folder that relative paths refer to.
    :return: files by a label such as `sys_000_0003`, of system and file.
    """
    prefix = folder / str(keys.take('sys_configs_prefix', 'structures', ''))
    found: dict[str, Path] = {}
    for index, patterns in enumerate(systems):
        name = f'sys_configs[{index}]'
        if index not in used:
            keys.ledger.leave(name, patterns, 'no job explores it, and it was left out')
            continue
        paths: list[str] = []
        for place, pattern in enumerate([patterns] if isinstance(patterns, str) else listed(patterns, name)):
            matches = sorted(glob.glob(str(prefix / str(pattern))))
            if not matches:
                keys.ledger.leave(f'{name}[{place}]', pattern, NO_FILE)
            paths += matches
        # Files are numbered in sorted order, as in DP-GEN.
        found |= {f'sys_{index:03d}_{place:04d}': Path(path) for place, path in enumerate(sorted(paths))}
    return found


def find_datasets(keys: Keys, folder: Path) -> list[Path]:
    """Return the existing folders of initial data.

    :param keys: keys of param.json.
    :param folder: folder that relative paths refer to.
    """
    prefix = folder / str(keys.take('init_data_prefix', 'frames', ''))
    found = []
    for index, name in enumerate(listed(keys.need('init_data_sys', 'frames'), 'init_data_sys')):
        path = prefix / str(name)
        if path.is_dir():
            found.append(path)
        else:
            why = (
                'it is no folder of .npy files: convert it with dpdata' if path.is_file() else 'no such folder is here'
            )
            keys.ledger.leave(f'init_data_sys[{index}]', name, why)
    return found


def replace_sections(parameters: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``parameters`` in which sections are replaced.

    :param parameters: parameters of a work chain.
    :param sections: new content by place, such as `committee.train.input`.
    :raises ValueError: if a place does not exist.
    """
    replaced = deepcopy(dict(parameters))
    for place, content in sections.items():
        *parents, name = place.split('.')
        level: Any = replaced
        for parent in parents:
            level = level.get(parent) if isinstance(level, dict) else None
        if not isinstance(level, dict):
            raise ValueError(f'The parameters have no place `{place}`: choose a protocol that has.')
        level[name] = deepcopy(content)
    return replaced


def describe(unmatched: Iterable[Unmatched]) -> str:
    """Return the keys without a counterpart as text, grouped by reason.

    :param unmatched: keys without a counterpart.
    """
    reasons: dict[str, list[str]] = {}
    for entry in unmatched:
        reasons.setdefault(entry.why, []).append(f'{entry.key} = {shortened(entry.value)}')
    if not reasons:
        return 'Everything has a counterpart.'
    lines = [f'{sum(map(len, reasons.values()))} settings have no counterpart.']
    for why, keys in reasons.items():
        lines += ['', f'{why[0].upper()}{why[1:]}:', *(f'  {key}' for key in keys)]
    return '\n'.join(lines)
