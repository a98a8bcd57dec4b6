"""Input validation shared by several chains. Each check returns one sentence that states what to change, or None."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from aiida import orm
from aiida.common.links import validate_link_label
from aiida.engine import CalcJob
from aiida.engine.processes.workchains.workchain import WorkChainSpec

from aiida_dpasse.calculations.md import check_simulated
from aiida_dpasse.calculations.md import validate_inputs as validate_dynamics
from aiida_dpasse.data.engine import Potential, engine_code, version_of
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PROGRAM, check_form_for_lammps
from aiida_dpasse.deepmd.engine import check_freezable as check_descriptor_freezable
from aiida_dpasse.label_sources import load_sources, source_names
from aiida_dpasse.structures.overlap import find_overlap
from aiida_dpasse.unreadable import UnreadableError

#: Programs, besides the label sources, whose scheduler options can be set; `default` holds for all.
PROGRAMS = (
    'default',
    'train',
    'freeze',
    'md',
    'label',
    'evaluate',
    'transport',
    'scan',
)
#: Programs, besides the label sources, by the prefix of the executable or of the plugin.
KNOWN_PROGRAMS = {'lmp': 'lmp', 'lammps': 'lmp', 'python': 'python', PROGRAM: PROGRAM}


def check_program(name: str, code: orm.AbstractCode) -> str | None:
    """Check that ``code`` is not recognised as another program than ``name``.

    Wrappers with arbitrary names and programs of the user are accepted.

    :param name: name of the program, that of the port.
    :param code: the code of the port.
    """
    sources = load_sources()
    known = KNOWN_PROGRAMS | {prefix: source for source in sources for prefix in sources[source].EXECUTABLES}
    if name not in known.values():
        return None
    plugin = (code.default_calc_job_plugin or '').partition('.')[0]
    executable = re.match('[a-z]*2?[a-z]*', PurePath(str(getattr(code, 'filepath_executable', ''))).name)
    found = known.get(plugin) or known.get(executable.group() if executable else '')
    if found in (None, name):
        return None
    return f'codes.{name}: `{code.full_label}` is a code of `{found}`; give one of `{name}`.'


def check_label(label: str) -> str | None:
    """Check that ``label`` can name an input."""
    try:
        validate_link_label(f'input__{label}')
        named = not label.endswith('_') and '__' not in label
    except ValueError:
        named = False
    if named and label and label[0] != '_':
        return None
    return f'the label {label!r} should contain only letters, digits and single underscores: rename it.'


def check_structure(structure: orm.StructureData) -> str | None:
    """Check that programs can label and simulate ``structure``.

    It must be ordered and periodic in three directions, with a cell that LAMMPS can represent, and contain atoms that
    do not overlap (`structures.overlap`).
    """
    if message := check_simulated(structure):
        return message
    symbols = [structure.get_kind(site.kind_name).symbol for site in structure.sites]
    overlap = find_overlap(symbols, structure.cell, [site.position for site in structure.sites])
    return overlap and (
        f'{overlap}: remove duplicates, or make ordered cells from the CIF of the crystal with '
        '`aiida-dpasse import structure`.'
    )


def validate_structures(structures: Mapping[str, orm.StructureData] | None, port: Any = None) -> str | None:
    """Check that there is at least one structure and that each can be simulated.

    :param structures: structures by label.
    :param port: the input port, whose name begins the message.
    """
    name = getattr(port, 'name', 'structures')
    if not structures:
        return f'{name}: give at least one structure.'
    for label, structure in structures.items():
        if message := check_structure(structure):
            return f'{name}.{label}: {message}'
    return None


def validate_structure(structure: orm.StructureData | None, port: Any) -> str | None:
    """Check that a single ``structure`` can be simulated."""
    message = None if structure is None else check_structure(structure)
    return message and f'{port.name}: {message}'


def validate_labelled(frames: FramesData | None, port: Any) -> str | None:
    """Check that ``frames`` have energies and forces."""
    if frames is not None:
        try:
            frames.check()
        except UnreadableError as error:
            return f'{port.name}: {error}'
    if frames is None or frames.labelled:
        return None
    return f'{port.name}: the frames have no energies and forces: label them with `dpasse.label` first.'


def define_labelled(spec: WorkChainSpec, name: str, use: str, required: bool = True) -> None:
    """Define the input ``name`` for labelled frames.

    :param spec: specification of the chain.
    :param name: name of the input.
    :param use: help text.
    :param required: whether the input must be given.
    """
    spec.input(name, valid_type=FramesData, required=required, validator=validate_labelled, help=use)


def check_same_computer(inputs: Mapping[str, Any]) -> str | None:
    """Check that LAMMPS and Python run on one computer: trajectories are analysed where they are written."""
    codes = inputs.get('codes', {})
    if 'lmp' in codes and 'python' in codes and codes['lmp'].computer.pk != codes['python'].computer.pk:
        return (
            f'codes.python: it runs on {codes["python"].computer.label} and LAMMPS on {codes["lmp"].computer.label}: '
            'trajectories are read on the computer where they are written, give a Python of that computer.'
        )
    return None


def check_ion(structures: Mapping[str, orm.StructureData], ion: str) -> str | None:
    """Check that every structure contains the mobile ``ion``.

    :param structures: structures by label.
    :param ion: symbol of the ion.
    """
    for label, structure in structures.items():
        if ion not in structure.get_symbols_set():
            return f'structures.{label}: it holds no {ion}: correct `transport.ion` in the parameters.'
    return None


def validate_options(options: Mapping[str, Any] | None, _: Any) -> str | None:
    """Check that ``options`` contains only known programs and AiiDA's scheduler options."""
    known = set(CalcJob.spec().inputs['metadata']['options'].ports)
    programs = (*PROGRAMS, *source_names())
    for program, own in (options or {}).items():
        if program not in programs:
            return f'options: there is no program `{program}`: choose one of {", ".join(programs)}.'
        if not isinstance(own, Mapping):
            return f'options: `{program}` should be a mapping of scheduler options, got {own!r}.'
        if unknown := sorted(set(own) - known):
            return (
                f'options: `{program}.{unknown[0]}` is not a scheduler option of AiiDA: choose one of '
                f'{", ".join(sorted(known))}.'
            )
    return None


def check_processes(parameters: Mapping[str, Any], codes: Mapping[str, Any], path: str = 'parameters') -> str | None:
    """Check that a training in several processes, at any depth of ``parameters``, has the code `torchrun`.

    :param parameters: parameters of a chain.
    :param codes: codes of the chain, by name.
    :param path: path of ``parameters``, for the message.
    """
    if codes.get('torchrun') is not None:
        return None
    for name, value in parameters.items():
        if isinstance(value, Mapping) and (message := check_processes(value, codes, f'{path}.{name}')):
            return message
        if name == 'processes' and isinstance(value, int) and value > 1:
            return (
                f"codes.torchrun: `{path}.processes` is {value}, which PyTorch's `torchrun` starts: give the code that "
                'is in the environment of `dp`, or set it to 1.'
            )
    return None


def check_labels(inputs: Mapping[str, Any], namespaces: Iterable[str]) -> str | None:
    """Check that every label in the dynamic ``namespaces`` of ``inputs`` can name an input."""
    for namespace in namespaces:
        for label in inputs.get(namespace) or {}:
            if message := check_label(str(label)):
                return f'{namespace}: {message}'
    return None


def check_checkpoints(inputs: Mapping[str, Any], ports: Iterable[str]) -> str | None:
    """Check that every checkpoint in ``ports`` can be frozen for LAMMPS.

    :param inputs: inputs of a chain.
    :param ports: names of ports of potentials, or of namespaces of potentials.
    """
    for port in ports:
        value: Any = inputs.get(port) or {}
        several = isinstance(value, Mapping)
        named: dict[str, Any] = {f'{port}.{label}': node for label, node in value.items()} if several else {port: value}
        for name, potential in named.items():
            if message := check_freezable(potential, engine_code(inputs)):
                return f'{name}: {message}'
    return None


def check_freezable(potential: Potential | None, code: orm.AbstractCode | None) -> str | None:
    """Check that a potential can be frozen for LAMMPS, if it is a checkpoint.

    :param potential: the potential; None is accepted.
    :param code: code of DeePMD-kit, or None.
    """
    if potential is None or not potential.is_checkpoint:
        return None
    if message := potential.check_kind() or check_descriptor_freezable(potential.descriptor):
        return message
    if code is not None:
        return check_release_and_heads(potential, version_of(code))
    command = f'`aiida-dpasse potential freeze {potential.pk or "PK"}`'
    advice = f'give the code `{PROGRAM}`, which freezes it, or freeze it with {command} and give the result.'
    return check_form_for_lammps(potential.form, advice)


def check_release_and_heads(potential: Potential | None, version: str | None) -> str | None:
    """Check that a checkpoint has one head and that DeePMD-kit ``version`` can read it.

    :param potential: the potential; None and other forms are accepted.
    :param version: version of DeePMD-kit, None if unknown.
    """
    if potential is None or not potential.is_checkpoint:
        return None
    if potential.heads:
        command = f'`aiida-dpasse potential freeze {potential.pk or "PK"} --head HEAD`'
        heads = ', '.join(potential.heads)
        return f'the checkpoint has several heads, {heads}: freeze one with {command} and give the result.'
    return potential.check_usable_with(version)


def best_form(outputs: Any) -> Potential:
    """Return the compressed potential of a training if there is one, otherwise the frozen one.

    :param outputs: outputs of the training.
    """
    return outputs.compressed if 'compressed' in outputs else outputs.frozen


def check_dynamics_of(
    port: str,
    potential: Potential,
    structure: orm.StructureData,
    codes: Mapping[str, Any],
    parameters: Mapping[str, Any] | None = None,
) -> str | None:
    """Check that LAMMPS can run a potential on ``structure``, after freezing it if it is a checkpoint.

    :param port: name of the port of the potential, for the message.
    :param potential: the potential.
    :param structure: structure to simulate.
    :param codes: codes of the chain, by name.
    :param parameters: parameters of `dpasse.md`.
    """
    if potential.is_checkpoint:
        if message := check_freezable(potential, codes.get(PROGRAM)):
            return f'{port}: {message}'
        elements = sorted(structure.get_symbols_set())
        message = potential.check_elements(elements, f'the structure {structure.get_formula()}')
        return message and f'{port}: {message}'
    run = {'structure': structure, 'potentials': {'potential': potential}, 'parameters': orm.Dict(parameters or {})}
    message = validate_dynamics({**run, 'code': codes.get('lmp')}, None)
    return message and message.replace('potentials.potential', port)
