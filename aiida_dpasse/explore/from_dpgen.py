"""An active learning from DP-GEN's files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder

from aiida_dpasse.data.conversion import sets_from_dpdata, sets_to_ase
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.dataset import read_dataset
from aiida_dpasse.dpgen.keys import Unmatched
from aiida_dpasse.dpgen.param import Conversion, read_dpgen
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import check_parameters


def builder_from_dpgen(
    param: str | Path,
    codes: Mapping[str, orm.AbstractCode | str],
    machine: str | Path | None = None,
    *,
    protocol: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    options: str | Mapping[str, Any] | None = None,
    **inputs: Any,
) -> tuple[ProcessBuilder, list[Unmatched]]:
    """Return a builder of `dpasse.active_learning`, and the settings of DP-GEN that have no counterpart.

    :param param: DP-GEN's param.json of `dpgen run`.
    :param codes: codes, or their labels, by name.
    :param machine: DP-GEN's machine.json, which gives the scheduler options.
    :param protocol: what is laid under DP-GEN's settings.
    :param overrides: parameters that are laid over them.
    :param options: scheduler options instead of those of ``machine``.
    :param inputs: the chain's own inputs: ``frames`` and ``structures`` instead of those that ``param`` names, a
        ``calculator`` that labels.
    :raises ValueError: in one sentence, if the files are wrong, or there are no structures or no frames.
    """
    found = read_dpgen(param, machine)
    if 'structures' not in inputs:
        if not found.structures:
            raise ValueError('`sys_configs` names no file that is here: hand in `structures`.')
        inputs['structures'] = read_structures(found.structures, found.structure_format, found.type_map)
    if 'frames' not in inputs:
        if not found.datasets:
            raise ValueError('`init_data_sys` names no folder that is here: hand in `frames`.')
        inputs['frames'] = read_frames(found.datasets)
    builder = ActiveLearningWorkChain.get_builder_from_protocol(
        codes,
        protocol=protocol,
        overrides=found.overrides,
        options=found.options if options is None else options,
        **{**found.inputs, **inputs},
    )
    parameters = found.complete(builder.parameters.get_dict())
    builder.parameters = orm.Dict(merge(parameters, overrides or {}))
    return builder, found.unmatched


def objection(conversion: Conversion, protocol: str | None = None) -> str | None:
    """Return one sentence if the active learning refuses the parameters, as DeePMD-kit does names of old releases.

    :raises ValueError: if there is no such protocol.
    """
    chain = ActiveLearningWorkChain
    parameters = conversion.complete(chain.protocol_parameters(protocol, conversion.overrides))
    return check_parameters(chain.PARAMETERS, parameters)


def read_frames(folders: Iterable[str | Path]) -> FramesData:
    """Return the labelled frames of DeePMD-kit systems at or below ``folders``.

    :raises ValueError: if a folder holds none.
    """
    return FramesData.from_sets([item for folder in folders for item in read_dataset(folder)])


def read_structures(files: Mapping[str, str | Path], fmt: str, type_map: Iterable[str]) -> dict[str, orm.StructureData]:
    """Return the structure of each file, its first frame if it holds several.

    :param fmt: format, as dpdata names it.
    :param type_map: elements, for formats that only number them.
    :raises ValueError: if a file cannot be read.
    """
    import dpdata

    structures = {}
    for label, path in files.items():
        try:
            [item] = sets_from_dpdata(dpdata.System(str(path), fmt=fmt, type_map=list(type_map)))
        except Exception as error:  # dpdata's readers raise whatever a broken file makes them raise
            raise ValueError(f'`{path}` cannot be read as {fmt} ({error}): correct it, or `sys_format`.') from error
        structures[label] = orm.StructureData(ase=sets_to_ase([item.take([0])])[0])
    return structures
