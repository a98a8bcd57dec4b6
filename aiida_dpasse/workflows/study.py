"""Settings of a study, which phases it needs, and what is missing for them: decided before anything is submitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from aiida_dpasse.parameters.active_learning import ActiveLearningParameters
from aiida_dpasse.parameters.base import Parameters
from aiida_dpasse.workflows.conductivity_parameters import ConductivityParameters
from aiida_dpasse.workflows.distill_parameters import DistillParameters
from aiida_dpasse.workflows.finetune import FinetuneParameters
from aiida_dpasse.workflows.initial_data import InitialDataParameters
from aiida_dpasse.workflows.label_sources import sources_of, validate_labeller
from aiida_dpasse.workflows.pretrain import PretrainParameters

#: What each phase starts from, beside the results of the phases before it.
SOURCES = {
    'initial_data': 'structures',
    'active_learning': 'structures',
    'finetune_data': 'finetune_structures',
}
#: What may be handed in instead of a phase.
INSTEAD = {
    'initial_data': 'frames',
    'active_learning': 'active_learning_frames',
    'finetune_data': 'finetune_frames',
}
LABELLING = ('initial_data', 'active_learning', 'finetune_data')


class ElectrolyteParameters(Parameters):
    """Settings of every phase, and the study's own."""

    initial_data: InitialDataParameters = Field(description='First labelled frames of `structures`.')
    active_learning: ActiveLearningParameters = Field(description='Exploration of `structures`.')
    pretrain: PretrainParameters = Field(description='Pre-training on all frames.')
    finetune_data: InitialDataParameters = Field(description='Labelled frames of `finetune_structures`.')
    finetune: FinetuneParameters = Field(description='Fine-tuning to `finetune_structures`.')
    distill: DistillParameters = Field(description='Distillation for `conductor` and `contrast`.')
    conductivity: ConductivityParameters = Field(description='Molecular dynamics of `conductor` and its transport.')
    contrast: ConductivityParameters = Field(description='The same for `contrast`.')
    distill_from: Literal['pretrained', 'finetuned'] = Field(
        default='pretrained',
        description='The teacher: `pretrained` where the conductor is among the compounds of the pre-training, '
        '`finetuned` where it is the compound that the potential was fine-tuned to.',
    )
    seed: int = Field(ge=0, description="Seed of the study; every phase's own is derived from it.")


def given(inputs: Any, port: str) -> bool:
    """Whether ``port`` (dots for namespaces) was handed in, and is no empty namespace.

    >>> given({'pretrained': {'frozen': 1}}, 'pretrained.frozen'), given({'structures': {}}, 'structures')
    (True, False)
    """
    for name in port.split('.'):
        if name not in inputs:
            return False
        inputs = inputs[name]
    return not (isinstance(inputs, Mapping) and not inputs)


def distills_from_finetuned(inputs: Any) -> bool:
    """Whether the fine-tuned potential is the teacher."""
    return bool(inputs['parameters'].get_dict().get('distill_from') == 'finetuned')


def phases_of(inputs: Any) -> tuple[str, ...]:
    """Return the phases that have to run, in order: those whose result is needed and was not handed in."""
    distill = not given(inputs, 'student')
    from_finetuned = distills_from_finetuned(inputs)
    shown = given(inputs, 'finetune_structures') or given(inputs, 'finetune_frames')
    finetune = not given(inputs, 'finetuned') and (shown or (distill and from_finetuned))
    wanted = [*(['checkpoint'] if finetune else []), *(['frozen'] if distill and not from_finetuned else [])]
    pretrain = bool(wanted) and not given(inputs, 'pretrained')
    learn = pretrain and not given(inputs, 'active_learning_frames')
    needed = {
        'initial_data': learn and not given(inputs, 'frames'),
        'active_learning': learn,
        'pretrain': pretrain,
        'finetune_data': finetune and not given(inputs, 'finetune_frames'),
        'finetune': finetune,
        'distill': distill,
        'conductivity': True,
        'contrast': given(inputs, 'contrast'),
    }
    return tuple(phase for phase, needs in needed.items() if needs)


def validate_study(inputs: Any, _: Any = None) -> str | None:
    """Return one sentence that names what is missing for the phases that have to run."""
    if 'parameters' not in inputs or 'conductor' not in inputs:
        return None  # their own ports say so
    phases = phases_of(inputs)
    return _missing_sources(inputs, phases) or _missing_elements(inputs, phases)


def _missing_sources(inputs: Any, phases: Iterable[str]) -> str | None:
    for phase in phases:
        source = SOURCES.get(phase)
        if source and not given(inputs, source):
            return f'{source}: there is none to start `{phase}` from; give at least one, or `{INSTEAD[phase]}` instead.'
    labelling = next((phase for phase in phases if phase in LABELLING), None)
    if (labelling or sources_of(inputs)) and (message := validate_labeller(inputs)):
        return f'{message} `{labelling}` labels its frames.' if labelling else message
    if given(inputs, 'pretrained'):
        teacher = 'distill' in phases and not distills_from_finetuned(inputs)
        for form, needed in (('checkpoint', 'finetune' in phases), ('frozen', teacher)):
            if needed and not given(inputs, f'pretrained.{form}'):
                return (
                    f'pretrained.{form}: it is needed to {"fine-tune" if form == "checkpoint" else "distil"}; give it.'
                )
    return None


def _missing_elements(inputs: Any, phases: tuple[str, ...]) -> str | None:
    """Return one sentence if a potential will not know, or does not know, an element of a structure."""
    structures = {
        f'{port}.{label}': structure.get_symbols_set()
        for port in ('conductor', 'finetune_structures')
        for label, structure in (inputs[port].items() if given(inputs, port) else ())
    }
    if given(inputs, 'contrast'):
        structures['contrast'] = inputs['contrast'].get_symbols_set()
    for name, known in _known_elements(inputs, phases).items():
        for port, symbols in structures.items():
            relevant = not port.startswith('finetune_structures') or name not in ('finetuned', 'student')
            if relevant and (missing := sorted(symbols - known)):
                return (
                    f'{port}: `{name}` does not hold {", ".join(missing)}, so that no potential would know it; add a '
                    'compound with it there, or take out the structure.'
                )
    return None


def _known_elements(inputs: Any, phases: tuple[str, ...]) -> dict[str, set[str]]:
    """Return the elements that the potentials will know, by the port that says so."""
    known: dict[str, set[str]] = {}
    if 'pretrain' in phases:
        source = next((port for port in ('active_learning_frames', 'frames') if given(inputs, port)), 'structures')
        if source == 'structures':
            known[source] = set().union(*(item.get_symbols_set() for item in inputs['structures'].values()))
        else:
            known[source] = set(inputs[source].elements)
    for port in ('pretrained.checkpoint', 'pretrained.frozen', 'finetuned', 'student'):
        if given(inputs, port):
            node = inputs
            for name in port.split('.'):
                node = node[name]
            known[port] = set(node.type_map)
    return known
