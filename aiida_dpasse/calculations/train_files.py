"""The files of a training job: its frames, and the input that names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.multitask import heads_of, single_model, type_map_of
from aiida_dpasse.deepmd.training_input import Systems, complete_input
from aiida_dpasse.parameters.train import TrainParameters

#: Ports with frames; those of several heads are the namespaces `head_...`.
TRAINING = 'training_data'
VALIDATION = 'validation_data'


def frames_by_head(inputs: Mapping[str, Any], port: str) -> dict[str, FramesData]:
    """Return the frames of ``port`` by head, under the empty name if the model has but one."""
    if port in inputs:
        return {'': inputs[port]}
    return dict(inputs.get(f'head_{port}', {}))


def known_elements(inputs: Mapping[str, Any]) -> list[str]:
    """Return the type map of a training whose input names none: the pre-trained potential's or the frames' elements."""
    if 'pretrained' in inputs:
        return list(inputs['pretrained'].type_map)
    return sorted({element for frames in frames_by_head(inputs, TRAINING).values() for element in frames.elements})


def lay_down_frames(
    inputs: Mapping[str, Any], parameters: TrainParameters, info: CalcInfo, folder: Folder
) -> dict[str, Systems]:
    """Have the frames copied or written into the job, and return their system directories by port."""
    systems: dict[str, Systems] = {}
    for port in (TRAINING, VALIDATION):
        directory = port.removesuffix('_data')
        by_head = {
            head: _lay_down(frames, f'{directory}/{head}' if head else directory, inputs, parameters, info, folder)
            for head, frames in frames_by_head(inputs, port).items()
        }
        systems[port] = by_head if heads_of(parameters.input) else by_head.get('', [])
    return systems


def _lay_down(
    frames: FramesData,
    directory: str,
    inputs: Mapping[str, Any],
    parameters: TrainParameters,
    info: CalcInfo,
    folder: Folder,
) -> list[str]:
    if not parameters.mixed:
        info.local_copy_list.append((frames.uuid, '.', directory))
        return [f'{directory}/{formula}' for formula in frames.formulas]
    target = folder.get_subfolder(directory, create=True)
    type_map = type_map_of(parameters.input['model']) or known_elements(inputs)
    written = frames.write(target.abspath, mixed=True, type_map=type_map)
    # The frames are an input already: a second copy in this node would say nothing new.
    info.provenance_exclude_list.append(directory)
    return [f'{directory}/{path.relative_to(target.abspath)}' for path in written]


def whole_input(
    inputs: Mapping[str, Any], parameters: TrainParameters, systems: Mapping[str, Systems]
) -> dict[str, Any]:
    """Return the input of ``dp train``."""
    content = parameters.input
    if 'restart_folder' in inputs and parameters.finetune is not None:
        # A restart has no `--use-pretrain-script`: what that took over is written out.
        taken = single_model(inputs['pretrained'].training_input['model'], parameters.finetune.model_branch)
        own = {key: value for key, value in content['model'].items() if value}
        kept = taken if parameters.finetune.use_pretrain_script else {}
        content = {**content, 'model': {**own, **kept}}
    return complete_input(
        content,
        training_systems=systems[TRAINING],
        validation_systems=systems[VALIDATION],
        type_map=known_elements(inputs),
        seed=parameters.seed,
    )
