"""Convert the parameters of `dpgen run` into those of `dpasse.active_learning`, and list those without a counterpart.

Those of `dpgen simplify` become parameters of `dpasse.simplify`; inputs of other commands are refused by name.

DP-GEN uses ps, bar and eV/A; the parameters here fs, GPa and eV/A.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from aiida_dpasse.dpgen.counterparts import leave_counterparts
from aiida_dpasse.dpgen.exploration import choice, explore_parameters, read_jobs
from aiida_dpasse.dpgen.keys import Keys, Ledger, Unmatched, listed, mapping, number, read_content, read_text, shortened
from aiida_dpasse.dpgen.labels import read_labels
from aiida_dpasse.dpgen.machine import read_machine
from aiida_dpasse.dpgen.simplify import read_simplify
from aiida_dpasse.dpgen.training import INPUT, read_committee
from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError

ACTIVE_LEARNING, SIMPLIFY = 'dpasse.active_learning', 'dpasse.simplify'
#: Inputs of other commands, by keys that only they have, and what to use instead.
OTHERS = {
    'init_surf': (('vacuum_max', 'layer_numb'), 'make slabs with pymatgen or ASE, and label them with `dpasse.label`'),
    'init_reaction': (('reaxff',), 'label frames of your reactive dynamics with `dpasse.label`'),
    'init_bulk': (
        ('super_cell', 'pert_numb'),
        'run `dpasse.initial_data`; the page "Migrating from DP-GEN" lists its settings by key',
    ),
    'autotest': (('interaction', 'properties'), 'there is no counterpart'),
}
NO_FILE = 'no such file is here: hand in its structures yourself'
#: Formats of structures that are text: dpdata knows others, which may hold anything.
FOLDERS = ('deepmd/npy', 'deepmd/raw')
FORMATS: tuple[str, ...] = (
    *('vasp/poscar', 'vasp/contcar', 'vasp/outcar', 'lammps/lmp', 'lammps/dump', 'abacus/stru', 'gromacs/gro'),
    *('poscar', 'contcar', 'outcar', 'lmp', 'dump', 'stru', 'gro', 'xyz', 'cp2k/output', 'qe/pw/scf'),
    *FOLDERS,
)
#: Most files of a pattern, most wildcards in it, and largest file of a structure in bytes.
MOST_FILES, MOST_WILDCARDS, LARGEST_STRUCTURE = 10_000, 6, 2**26


@dataclass(frozen=True)
class Conversion:
    """Inputs of a work chain that correspond to DP-GEN's files."""

    #: Entry point of the chain.
    chain: str
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
    #: Names of the executables by code, as far as the commands name them.
    executables: dict[str, str]
    #: What has to be given before the chain can run, or would not label as DP-GEN does: one sentence by its place.
    to_do: dict[str, str]
    #: Name of the parameter here by DP-GEN's key.
    mapped: dict[str, str]
    unmatched: list[Unmatched]

    def complete(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters with the complete sections in place.

        :param parameters: a protocol merged with the overrides.
        """
        return replace_sections(parameters, self.sections)


def read_dpgen(param: str | Path, machine: str | Path | None = None) -> Conversion:
    """Convert a param.json and, optionally, a machine.json; both may be YAML.

    Relative paths refer to the folder of ``param``. Missing files are listed among the unmatched keys.

    :param param: path of param.json, of `dpgen run` or `dpgen simplify`.
    :param machine: path of machine.json.
    :raises UnreadableError: if a file cannot be read, a required key is missing, a value is not accepted by DP-GEN, or
        the input is that of another command.
    """
    folder, ledger = Path(param).resolve().parent, Ledger()
    keys = Keys(read_content(param), ledger)
    content = None if machine is None else mapping(read_content(machine), 'the machine file')
    if 'pick_data' in keys:
        return _simplify(keys, folder, content)
    if 'type_map' not in keys and {'train', 'model_devi', 'fp'} & set(keys.content):
        raise UnreadableError(
            'This is a machine file: give the parameters of `dpgen run` first, and it as the second file.'
        )
    for command, (own, instead) in OTHERS.items():
        if 'model_devi_jobs' not in keys and any(name in keys for name in own):
            raise UnreadableError(f'This is an input of `dpgen {command}`, which is not converted: {instead}.')
    return _run(keys, folder, content)


def _run(keys: Keys, folder: Path, machine: Any) -> Conversion:
    """Convert the parameters of `dpgen run`."""
    engine = keys.take('model_devi_engine', 'codes.lmp', 'lammps')
    if engine != 'lammps':
        raise UnreadableError(
            f'`model_devi_engine` should be lammps: exploration by {shortened(engine)} has no counterpart.'
        )
    committee, training = read_committee(keys)
    type_map = training['model']['type_map']
    systems = listed(keys.need('sys_configs', 'structures'), 'sys_configs')
    jobs = read_jobs(keys, len(systems))
    used = {index for job in jobs for index in job.systems}
    structures = find_structures(keys, systems, used, folder)
    structure_format = keys.take('sys_format', 'structures', 'vasp/poscar')
    if structure_format not in FORMATS:
        raise UnreadableError(f'`sys_format` should be one of {", ".join(FORMATS)}, got {shortened(structure_format)}.')
    single = len({label.split('_')[1] for label in structures}) == len(structures) == len(used)
    datasets = find_datasets(keys, folder)
    labeller, label, to_do = read_labels(
        keys, folder, type_map, lambda: compositions(structures.values(), structure_format, type_map)
    )
    overrides = {**explore_parameters(keys, jobs), 'committee': committee}
    overrides['explore'] |= choice(keys, jobs, single=single)
    if 'fp_accurate_threshold' in keys:
        fraction = number(keys.take('fp_accurate_threshold', 'convergence.accurate_fraction'), 'fp_accurate_threshold')
        if not 0 < fraction <= 1:
            raise UnreadableError(f'`fp_accurate_threshold` should be above 0 and at most 1, got {fraction}.')
        overrides['convergence'] = {'accurate_fraction': fraction}
    inputs = {}
    if 'model_devi_clean_traj' in keys:
        if isinstance(clean := keys.take('model_devi_clean_traj', 'clean_workdir'), bool):
            inputs['clean_workdir'] = clean
        else:
            keys.leave('model_devi_clean_traj', 'jobs keep their working directories, or `clean_workdir` removes them')
    leave_counterparts(keys)
    options, batch, executables = ({}, None, {}) if machine is None else read_machine(machine, labeller, keys.ledger)
    label |= {'batch_size': batch} if batch else {}
    if 'gam' in executables.get('vasp', '') and 'vasp' in label:
        label['vasp']['kpoints'] = {'mesh': [1, 1, 1], 'spacing': None}
        to_do.pop('label.vasp.kpoints', None)
        why = 'it computes the Gamma point only, which `label.vasp.kpoints` says'
        keys.ledger.leave('fp.command: executable', executables['vasp'], why)
    overrides |= {'label': label} if label else {}
    if any(job.ensemble is None for job in jobs):
        to_do['explore'] = (
            'A LAMMPS template has the conditions of a job: give its `temperatures`, `pressures`, `ensemble` and '
            '`steps` in OVERRIDES, in `explore` or `stages`.'
        )
    if not structures:
        to_do['structures'] = 'None of the files of `sys_configs` is here: fill in STRUCTURES, a file by label.'
    if not datasets:
        to_do['frames'] = 'No folder of `init_data_sys` is here: fill in FRAMES, folders of labelled frames.'
    return Conversion(
        chain=ACTIVE_LEARNING,
        overrides=overrides,
        sections={INPUT: training},
        options=options,
        inputs=inputs,
        structures=structures,
        structure_format=structure_format,
        type_map=type_map,
        datasets=datasets,
        labeller=labeller,
        executables=executables,
        to_do=to_do,
        mapped=keys.ledger.mapped,
        unmatched=keys.ledger.unmatched,
    )


def _simplify(keys: Keys, folder: Path, machine: Any) -> Conversion:
    """Convert the parameters of `dpgen simplify`."""
    overrides, training, datasets = read_simplify(keys, folder)
    options, _, executables = ({}, None, {}) if machine is None else read_machine(machine, None, keys.ledger)
    # The deviations are those of `dp model-devi` in DP-GEN.
    own = {'train': options.get('train'), 'evaluate': options.get('md') or options.get('evaluate')}
    return Conversion(
        chain=SIMPLIFY,
        overrides=overrides,
        sections={INPUT: training},
        options={name: value for name, value in own.items() if value},
        inputs={},
        structures={},
        structure_format='',
        type_map=training['model']['type_map'],
        datasets=datasets,
        labeller=None,
        executables=executables,
        to_do={} if datasets else {'frames': 'No folder of `pick_data` is here: fill in FRAMES, labelled frames.'},
        mapped=keys.ledger.mapped,
        unmatched=keys.ledger.unmatched,
    )


def compositions(files: Iterable[Path], fmt: str, type_map: Iterable[str]) -> list[dict[str, int]]:
    """Return the distinct numbers of atoms by element of structures; files that cannot be read are left out.

    :param files: structures.
    :param fmt: format, as named by dpdata.
    :param type_map: elements, for formats that only number them.
    """
    import dpdata

    found: list[dict[str, int]] = []
    for path in files:
        try:
            check_declared(path, fmt)
            system = dpdata.System(str(path), fmt=fmt, type_map=list(type_map))
        except Exception:  # dpdata's readers raise exceptions of any type; the script says it of each file
            continue
        counts = dict(zip(system['atom_names'], system['atom_numbs'], strict=True))
        if counts not in found:
            found.append(counts)
    return found


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
            matches = _files(prefix, str(pattern))
            if not matches:
                keys.ledger.leave(f'{name}[{place}]', pattern, NO_FILE)
            paths += matches
        # Files are numbered in sorted order, as in DP-GEN.
        found |= {f'sys_{index:03d}_{place:04d}': Path(path) for place, path in enumerate(sorted(paths))}
    return found


def _files(prefix: Path, pattern: str) -> list[str]:
    """Return the files that match a pattern, in sorted order.

    :raises UnreadableError: if it matches too many, or has so many wildcards that the search would not end.
    """
    if sum(map(pattern.count, '*?[')) > MOST_WILDCARDS:
        raise UnreadableError(
            f'`sys_configs` has the pattern {shortened(pattern)}: use at most {MOST_WILDCARDS} of *, ?, [.'
        )
    found = list(islice(glob.iglob(str(prefix / pattern)), MOST_FILES + 1))
    if len(found) > MOST_FILES:
        raise UnreadableError(f'`sys_configs` has a pattern of more than {MOST_FILES} files: name fewer.')
    # Devices and pipes never end.
    return sorted(path for path in found if os.path.isfile(path) or os.path.isdir(path))


def check_declared(path: str | Path, fmt: str) -> None:
    """Check a file of a structure before it is read: it is a file, and as large as the number of its atoms needs.

    :param path: the file.
    :param fmt: format, as named by dpdata.
    :raises UnreadableError: if it is not.
    """
    file = Path(path)
    if fmt in FOLDERS and os.path.isdir(file):
        return
    text = read_text(file, LARGEST_STRUCTURE)
    head = text.splitlines()[:40]
    # The lines of a POSCAR with numbers of atoms, and those of LAMMPS, such as `8 atoms`.
    lines = head[5:7] if fmt.endswith(('poscar', 'contcar')) else [item for item in head if item.endswith('atoms')]
    counts = [word for item in lines for word in re.findall('[0-9]+', item)]
    if any(len(word) > 9 for word in counts) or sum(map(int, counts)) > text.count('\n') + 1:
        raise UnreadableError(f'`{line(file)}` has fewer lines than atoms: give a whole file.')


def find_datasets(keys: Keys, folder: Path) -> list[Path]:
    """Return the existing folders of initial data.

    :param keys: keys of param.json.
    :param folder: folder that relative paths refer to.
    """
    prefix = folder / str(keys.take('init_data_prefix', 'frames', ''))
    found = []
    for index, name in enumerate(listed(keys.need('init_data_sys', 'frames'), 'init_data_sys')):
        path = prefix / str(name)
        if os.path.isdir(path):
            found.append(path)
        else:
            why = (
                'it is no folder of .npy files: convert it with dpdata'
                if os.path.isfile(path)
                else 'no such folder is here'
            )
            keys.ledger.leave(f'init_data_sys[{index}]', name, why)
    return found


def replace_sections(parameters: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``parameters`` in which sections are replaced.

    :param parameters: parameters of a work chain.
    :param sections: new content by place, such as `committee.train.input`.
    :raises UnreadableError: if a place does not exist.
    """
    replaced = deepcopy(dict(parameters))
    for place, content in sections.items():
        *parents, name = place.split('.')
        level: Any = replaced
        for parent in parents:
            level = level.get(parent) if isinstance(level, dict) else None
        if not isinstance(level, dict):
            raise UnreadableError(f'The parameters have no place `{place}`: choose a protocol that has.')
        level[name] = deepcopy(content)
    return replaced


def describe(unmatched: Iterable[Unmatched]) -> str:
    """Return the keys without a counterpart as text, grouped by reason.

    :param unmatched: keys without a counterpart.
    """
    reasons: dict[str, list[str]] = {}
    for entry in unmatched:
        # A key may hold anything: control characters are escaped.
        key = entry.key if entry.key.isprintable() else shortened(entry.key)
        reasons.setdefault(entry.why, []).append(f'{key} = {shortened(entry.value)}')
    if not reasons:
        return 'Everything has a counterpart.'
    lines = [f'{sum(map(len, reasons.values()))} settings have no counterpart.']
    for why, keys in reasons.items():
        lines += ['', f'{why[0].upper()}{why[1:]}:', *(f'  {key}' for key in keys)]
    return '\n'.join(lines)
