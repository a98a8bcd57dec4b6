"""The files of a training job: its frames, and the input that refers to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder

from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.multitask import heads_of, single_model, type_map_of
from aiida_dpasse.deepmd.training_input import Systems, complete_input
from aiida_dpasse.parameters.train import TrainParameters

#: Ports for frames; models with several heads use the namespaces `head_...` instead.
TRAINING = 'training_data'
VALIDATION = 'validation_data'


def frames_by_head(inputs: Mapping[str, Any], port: str) -> dict[str, FramesData]:
    """Return the frames of ``port`` by head; the key is empty for a model with a single head.

    :param inputs: inputs of the training.
    :param port: `TRAINING` or `VALIDATION`.
    """
    if port in inputs:
        return {'': inputs[port]}
    return dict(inputs.get(f'head_{port}', {}))


def known_elements(inputs: Mapping[str, Any]) -> list[str]:
    """Return the default type map of a training.

    :param inputs: inputs of the training.
    :return: the type map of the pre-trained potential, or the sorted elements of the training frames.
    """
    if 'pretrained' in inputs:
        return list(inputs['pretrained'].type_map)
    return sorted({element for frames in frames_by_head(inputs, TRAINING).values() for element in frames.elements})


def lay_down_frames(
    inputs: Mapping[str, Any], parameters: TrainParameters, info: CalcInfo, folder: Folder
) -> dict[str, Systems]:
    """Write the frames into the job.

    :param inputs: inputs of the training.
    :param parameters: parameters of the training.
    :param info: calculation info, to which the files are added.
    :param folder: folder of the job.
    :return: system directories by port, and by head for a model with several heads.
    """
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
    target = folder.get_subfolder(directory, create=True)
    type_map = type_map_of(parameters.input['model']) or known_elements(inputs)
    written = frames.write(target.abspath, mixed=parameters.mixed, type_map=type_map)
    # The frames are an input node already; a second copy in the repository of the job would be redundant.
    info.provenance_exclude_list.append(directory)
    return [f'{directory}/{path.relative_to(target.abspath)}' for path in written]


def whole_input(
    inputs: Mapping[str, Any], parameters: TrainParameters, systems: Mapping[str, Systems]
) -> dict[str, Any]:
    """Return the complete input of ``dp train``.

    :param inputs: inputs of the training.
    :param parameters: parameters of the training.
    :param systems: system directories by port, of :func:`lay_down_frames`.
    """
    content = parameters.input
    if 'restart_folder' in inputs and parameters.finetune is not None:
        # A restart does not support `--use-pretrain-script`, so the settings that it took over are written out.
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
