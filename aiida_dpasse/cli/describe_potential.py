"""Properties of a model file or of a stored potential, as a dictionary and as the text on the terminal."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from aiida_dpasse import quoting
from aiida_dpasse.cli.profile import find_node, with_profile
from aiida_dpasse.cli.refusal import Refusal
from aiida_dpasse.unreadable import UnreadableError

#: Type of an argument: a model file; models of some backends are directories, and are refused with a reason.
MODEL = click.Path(exists=True, path_type=Path)
#: Most characters of a value on the terminal.
LONGEST = 2_000


def describe_file(path: Path) -> dict[str, Any]:
    """Return the properties of a model file, by the names of the attributes of `Potential`.

    :param path: path of the file.
    :raises Refusal: if it is not a potential, or not safe to load.
    """
    from aiida_dpasse.deepmd.checkpoint import hash_of, read_model_file
    from aiida_dpasse.deepmd.compatibility import objection_to_lammps, objection_to_python, objection_to_version
    from aiida_dpasse.deepmd.model_kind import lora_of
    from aiida_dpasse.deepmd.published import published_name

    try:
        content = read_model_file(path)
        sha256 = hash_of(path)
    except UnreadableError as error:
        raise Refusal(str(error)) from error
    here = installed()
    return {
        'name': path.name,
        **vars(content),
        'lora': lora_of(content.training_input),
        'deepmd_version': None,
        'sha256': sha256,
        'published_as': None if here is None else published_name(sha256),
        'deepmd_version_here': here,
        'objection': objection_to_version(here, content.descriptor, content.needs_migration),
        'objection_in_python': objection_to_python(here, content.python_before),
        'objection_in_lammps': objection_to_lammps(content.descriptor, content.python_before),
    }


@with_profile
def describe_node(pk: str) -> dict[str, Any]:
    """Return the same properties for a potential stored in the profile.

    :param pk: pk of the potential.
    :raises Refusal: if there is no potential with this pk, or if it is not what its attributes state.
    """
    from aiida_dpasse.data.engine import Potential
    from aiida_dpasse.deepmd.compatibility import objection_to_lammps, objection_to_python

    node = find_node(int(pk), f'There is neither a file nor a node {pk}.')
    if not isinstance(node, Potential):
        raise Refusal(f'The node {pk} is a {type(node).__name__}, not a potential.')
    if message := node.check_file():
        raise Refusal(message)
    model = ('form', 'descriptor', 'type_map', 'cutoff', 'parameters', 'heads', 'other_heads', 'training_input', 'step')
    file = ('lora', 'needs_migration', 'python_before', 'deepmd_version', 'sha256', 'published_as')
    here = installed()
    return {
        'name': node.label or f'{type(node).__name__}<{pk}>',
        'backend': node.framework,
        **{name: getattr(node, name) for name in (*model, *file)},
        'deepmd_version_here': here,
        'objection': node.check_usable_with(here),
        'objection_in_python': objection_to_python(here, node.python_before),
        'objection_in_lammps': objection_to_lammps(node.descriptor, node.python_before),
    }


def installed() -> str | None:
    """Return the version of DeePMD-kit in this environment, or None."""
    try:
        return version('deepmd-kit')
    except PackageNotFoundError:
        return None


def table(answer: dict[str, Any]) -> str:
    """Return the text shown on the terminal.

    :param answer: properties of the potential; each is one line, whatever its text contains.
    """
    backend = {'pytorch': 'PyTorch', 'tensorflow': 'TensorFlow'}[answer['backend']]
    step = '' if answer['step'] is None else f', {answer["step"]:,} steps'
    parameters = 'unknown' if answer['parameters'] is None else f'{answer["parameters"]:,}'
    rows = [
        ('kind', f'{answer["form"]} of {backend}{step}'),
        ('descriptor', f'{answer["descriptor"]}, cutoff {answer["cutoff"]:g} Å'),
        ('elements', ' '.join(answer['type_map'])),
        ('parameters', parameters),
        *([('heads', ', '.join(answer['heads']))] if answer['heads'] else []),
        *(('no potential', f'{head}: {reason}') for head, reason in answer['other_heads'].items()),
        *numbers(answer['training_input']),
        ('written by', f'DeePMD-kit {answer["deepmd_version"]}' if answer['deepmd_version'] else 'unknown'),
        *([('published as', answer['published_as'])] if answer['published_as'] else []),
        ('SHA-256', answer['sha256']),
    ]
    lines = [_shown(answer['name']), *(f'  {name:16s} {_shown(value)}' for name, value in rows), '']
    here = answer['deepmd_version_here']
    objections = [answer[name] for name in ('objection', 'objection_in_python', 'objection_in_lammps') if answer[name]]
    if here is None:
        lines.append('DeePMD-kit is not installed here.')
    elif not objections:
        lines.append(f'DeePMD-kit {here}, installed here, can read it.')
    if answer['objection_in_python'] and not answer['objection_in_lammps']:
        lines.append('LAMMPS runs it.')
    lines += map(_shown, objections)
    return '\n'.join(lines)


def _shown(text: object) -> str:
    shown = quoting.line(text)
    return shown if len(shown) <= LONGEST else f'{shown[:LONGEST]}...'


def numbers(training_input: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the main hyperparameters of a potential, as far as the file contains them.

    :param training_input: training input of the potential.
    :return: pairs of name and text.
    """
    from aiida_dpasse.deepmd.model_kind import lora_of

    model = training_input.get('model', {})
    rows = []
    neurons = model.get('fitting_net', {}).get('neuron')
    if neurons and all(neurons):
        rows.append(('fitting net', ' x '.join(map(str, neurons))))
    if lora := lora_of(training_input):
        rows.append(('fine-tuning', f'LoRA of rank {lora["rank"]}, alpha {lora["alpha"]:g}'))
    rate, training = training_input.get('learning_rate', {}), training_input.get('training', {})
    if 'start_lr' in rate and 'numb_steps' in training:
        stop = f' to {rate["stop_lr"]:g}' if 'stop_lr' in rate else ''
        rows.append(('learning rate', f'{rate["start_lr"]:g}{stop} in {training["numb_steps"]:,} steps'))
    return rows


def freezing(pk: int, heads: list[str]) -> str:
    """Return the command that freezes the checkpoint ``pk``.

    :param pk: pk of the checkpoint.
    :param heads: its heads, empty for a single one.
    """
    choice = f' --head {"|".join(heads)}' if heads else ''
    return f'aiida-dpasse potential freeze {pk}{choice}'
