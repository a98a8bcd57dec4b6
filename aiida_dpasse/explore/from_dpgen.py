"""Conversion of DP-GEN input files to an active learning, or to a selection of labelled frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.engine import ProcessBuilder

from aiida_dpasse.data.conversion import sets_from_dpdata, sets_to_ase
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.dataset import read_dataset
from aiida_dpasse.dpgen.keys import Unmatched
from aiida_dpasse.dpgen.param import ACTIVE_LEARNING, SIMPLIFY, Conversion, check_declared, read_dpgen
from aiida_dpasse.explore.active_learning import ActiveLearningWorkChain
from aiida_dpasse.explore.simplify import SimplifyWorkChain
from aiida_dpasse.merging import merge
from aiida_dpasse.parameters.base import check_parameters

CHAINS: dict[str, type[ActiveLearningWorkChain] | type[SimplifyWorkChain]] = {
    ACTIVE_LEARNING: ActiveLearningWorkChain,
    SIMPLIFY: SimplifyWorkChain,
}


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
    """Return a builder, and the DP-GEN settings without counterpart.

    The chain is `dpasse.active_learning` for an input of `dpgen run`, `dpasse.simplify` for one of `dpgen simplify`.

    :param param: param.json, or YAML, of DP-GEN.
    :param codes: codes, or their labels, by name.
    :param machine: machine.json of DP-GEN, which gives the scheduler options.
    :param protocol: name of the protocol that the settings of DP-GEN update.
    :param overrides: parameters that update those of DP-GEN.
    :param options: scheduler options that replace those of ``machine``.
    :param inputs: inputs of the chain: ``frames`` and ``structures`` replace those named in ``param``; a ``calculator``
        labels.
    :raises ValueError: if the files are invalid, there are no structures or no frames, or the settings of the program
        that labels are not here and not in ``overrides``; the message is one sentence.
    """
    found = read_dpgen(param, machine)
    own = merge(found.overrides, overrides or {})
    for place, sentence in found.to_do.items():
        labels = place.startswith('label.') and place != 'label.vasp.potential_family'
        if (labels and found.labeller in codes and not _contains(own, place)) or (
            place == 'explore' and not own.get('stages') and not _contains(own, 'explore.temperatures')
        ):
            raise ValueError(sentence)
    if found.chain == ACTIVE_LEARNING and 'structures' not in inputs:
        if not found.structures:
            raise ValueError('`sys_configs`: none of the files exists here: give `structures`.')
        inputs['structures'] = read_structures(found.structures, found.structure_format, found.type_map)
    if 'frames' not in inputs:
        if not found.datasets:
            raise ValueError('None of the folders of labelled frames exists here: give `frames`.')
        inputs['frames'] = read_frames(found.datasets, found.type_map)
    builder = CHAINS[found.chain].get_builder_from_protocol(
        codes,
        protocol=protocol,
        overrides=found.overrides,
        options=found.options if options is None else options,
        **{**found.inputs, **inputs},
    )
    parameters = found.complete(builder.parameters.get_dict())
    builder.parameters = orm.Dict(merge(parameters, overrides or {}))
    return builder, found.unmatched


def _contains(settings: Mapping[str, Any], place: str) -> bool:
    """Return whether nested settings have a value at a place, such as `label.vasp.incar`."""
    level: Any = settings
    for name in place.split('.'):
        level = level.get(name) if isinstance(level, Mapping) else None
    return level is not None


def objection(conversion: Conversion, protocol: str | None = None) -> str | None:
    """Check that the chain accepts the converted parameters; names of old DeePMD-kit releases are refused.

    :param conversion: converted settings of DP-GEN.
    :param protocol: name of the protocol that they update.
    :returns: one sentence that states the problem, or None.
    :raises ValueError: if the protocol is unknown.
    """
    chain = CHAINS[conversion.chain]
    parameters = conversion.complete(chain.protocol_parameters(protocol, conversion.overrides))
    return check_parameters(chain.PARAMETERS, parameters)


def read_frames(folders: Iterable[str | Path], type_map: Sequence[str] | None = None) -> FramesData:
    """Read labelled frames from DeePMD-kit systems.

    :param folders: folders that are or contain systems.
    :param type_map: elements in the order of the types, for systems without `type_map.raw`.
    :raises ValueError: if a folder contains none.
    """
    return FramesData.from_sets([item for folder in folders for item in read_dataset(folder, type_map=type_map)])


def read_structures(files: Mapping[str, str | Path], fmt: str, type_map: Iterable[str]) -> dict[str, orm.StructureData]:
    """Read one structure from each file, the first if there are several.

    :param files: paths by label.
    :param fmt: format, as named by dpdata.
    :param type_map: elements, for formats that only number them.
    :raises ValueError: if a file cannot be read.
    """
    import dpdata

    structures = {}
    for label, path in files.items():
        check_declared(path, fmt)
        try:
            [item] = sets_from_dpdata(dpdata.System(str(path), fmt=fmt, type_map=list(type_map)))
        except Exception as error:  # dpdata's readers raise exceptions of any type for a broken file
            raise ValueError(f'`{path}` cannot be read as {fmt} ({error}): correct it, or `sys_format`.') from error
        structures[label] = orm.StructureData(ase=sets_to_ase([item.take([0])])[0])
    return structures
