"""`MDCalculation`: one segment of molecular dynamics in LAMMPS, driven by one or several Deep Potentials."""

from __future__ import annotations

import hashlib
import inspect
import io
from collections.abc import Callable
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida_lammps.calculations.raw import LammpsRawCalculation

from aiida_dpasse.calculations.label import time_to_run
from aiida_dpasse.calculations.md_stops import define_stops
from aiida_dpasse.calculations.one_worker import OneWorker
from aiida_dpasse.calculations.staging import stage_potential, staged_name
from aiida_dpasse.data.conversion import check_ordered
from aiida_dpasse.data.engine import Potential, validate_potentials, version_of
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.deepmd.engine import PAIR_STYLE, check_form_for_lammps, lammps_commands
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.lammps import datafile, fixed, script, watch
from aiida_dpasse.lammps.script import (
    DEVIATION_FILE,
    LAST_FILE,
    PREVIOUS_FOLDER,
    RESTART_FOLDER,
    SAMPLES_FILE,
    TRAJECTORY_FILE,
)
from aiida_dpasse.parameters.base import parameters_validator
from aiida_dpasse.parameters.md import MDParameters

#: File with the number of frames of the trajectory.
COUNT_FILE = 'trajectory.count'


def source_version(*sources: ModuleType | Callable[..., Any]) -> int:
    """Return a number that changes with the source of modules and functions."""
    text = ''.join(map(inspect.getsource, sources))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], 'big')


def symbols_of(structure: orm.StructureData) -> list[str]:
    """Return the element of each site.

    :param structure: structure without disorder.
    """
    return [structure.get_kind(site.kind_name).symbol for site in structure.sites]


def kinds_of(structure: orm.StructureData) -> dict[str, tuple[str, float]]:
    """Return the kinds of ``structure`` that have a site, in the order of the atom types of LAMMPS.

    :param structure: input structure.
    :return: element and mass in amu by the name of the kind.
    """
    used = {site.kind_name for site in structure.sites}
    kinds = sorted((kind.symbol, kind.name, kind.mass) for kind in structure.kinds if kind.name in used)
    return {name: (symbol, mass) for symbol, name, mass in kinds}


def check_simulated(structure: orm.StructureData) -> str | None:
    """Return an error message if LAMMPS cannot run ``structure``.

    :param structure: a structure, which has to be ordered and periodic in three directions and to contain atoms.
    """
    if message := check_ordered(structure):
        return message
    if not structure.sites:
        return 'it contains no atoms; give a structure with some.'
    try:
        script.check_elements(symbols_of(structure))
    except ValueError as exception:
        return str(exception)
    if not all(structure.pbc):
        return f'{structure.get_formula()} is not periodic in three directions: put it into a periodic cell.'
    try:
        datafile.lammps_frame(structure.cell)
    except ValueError as exception:
        return str(exception)
    return None


def validate_structure(structure: orm.StructureData | None, _: Any) -> str | None:
    """Return an error message if LAMMPS cannot run ``structure``; None is accepted."""
    message = None if structure is None else check_simulated(structure)
    return message and f'structure: {message}'


def check_fixed(sites: list[int] | None, atoms: int) -> str | None:
    """Return an error message if sites cannot be held fixed.

    :param sites: indices of the sites, counted from 0, or None.
    :param atoms: number of atoms of the structure.
    """
    if not sites:
        return None
    if max(sites) >= atoms:
        return f'parameters: `fixed` contains site {max(sites)}, but the last site is {atoms - 1}: correct it.'
    if len(set(sites)) == atoms:
        return 'parameters: `fixed` contains every site, so no atom can move: remove some.'
    return None


def validate_inputs(inputs: dict[str, Any], _: Any) -> str | None:
    """Return an error message if structure, potentials, parameters and code are not compatible.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    potentials = inputs.get('potentials') or {}
    structure, parameters, code = (inputs.get(name) for name in ('structure', 'parameters', 'code'))
    if structure is None or parameters is None:
        return None  # a work chain exposes these ports without all of them
    if not potentials:
        return 'potentials: none is given: give one, or several for the deviation of a committee.'
    for label, potential in potentials.items():
        if message := potential.check_elements(symbols_of(structure), f'the structure {structure.get_formula()}'):
            return f'potentials.{label}: {message}'
        if message := check_form_for_lammps(potential.form) or potential.check_usable_in_lammps(version_of(code)):
            return f'potentials.{label}: {message}'
    if message := check_fixed(parameters.get_dict().get('fixed'), len(structure.sites)):
        return message
    if len(potentials) < 2 and parameters.get_dict().get('deviation_interval'):
        return (
            'potentials: `deviation_interval` needs a committee, and only one potential is given: give at least two, '
            'or remove `deviation_interval`.'
        )
    if len(potentials) < 2 and (parameters.get_dict().get('watch') or {}).get('deviation'):
        return (
            'potentials: `watch.deviation` needs a committee, and only one potential is given: give at least two, or '
            'set it to null.'
        )
    restart = inputs.get('restart_folder')
    if restart is not None and code is not None and restart.computer.pk != code.computer.pk:
        return (
            f'restart_folder: it is on {restart.computer.label} and the code runs on {code.computer.label}: use a '
            'code of the same computer.'
        )
    return None


class MDCalculation(OneWorker, LammpsRawCalculation):
    """Calculation job that runs LAMMPS with the pair style of the engine.

    The run starts from a structure or from the restart files of an earlier segment.
    """

    MODEL: ClassVar[str] = 'potential_{label}'
    #: The script and the data file are not part of the hash of the inputs; without this, a modified writer would hit
    #: old caches.
    CACHE_VERSION = source_version(script, datafile, fixed, watch, lammps_commands)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define inputs, outputs and exit codes."""
        super().define(spec)
        # The script is generated from the parameters, so none of its ports may be set.
        for name in ('script', 'files', 'filenames', 'settings'):
            del spec.inputs[name]
        options = spec.inputs['metadata']['options']
        options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['resources'].required = False  # a builder checks this before defaults are filled in
        options['withmpi'].default = False
        options['parser_name'].default = 'dpasse.md'
        spec.inputs['code'].help = f'LAMMPS with the pair style `{PAIR_STYLE}`.'
        spec.input(
            'structure',
            valid_type=orm.StructureData,
            validator=validate_structure,
            help='Initial structure; for a continued run, the structure of its first segment.',
        )
        spec.input_namespace(
            'potentials',
            valid_type=Potential,
            validator=validate_potentials,
            help='Frozen or compressed potentials: the first by name drives the dynamics, all give the deviation.',
        )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=parameters_validator(MDParameters),
            help='Settings of the dynamics.',
        )
        spec.input(
            'restart_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Working directory of an interrupted segment with the same parameters, to be continued.',
        )
        spec.inputs.validator = validate_inputs
        cls._define_outputs(spec)
        cls._define_exit_codes(spec)

    @classmethod
    def _define_outputs(cls, spec: CalcJobProcessSpec) -> None:
        spec.output(
            'frames',
            valid_type=FramesData,
            required=False,
            help='Sampled frames of the production without labels, in the orientation of the input structure, with '
            'their steps and, for a committee, their deviations.',
        )
        spec.output(
            'thermo',
            valid_type=orm.ArrayData,
            required=False,
            help='`step`, `temperature_K`, `potential_energy_eV`, `pressure_GPa`, `volume_A3`..., and '
            'the lengths and tilts of the cell in the frame of LAMMPS: `lx_A`...',
        )
        spec.output(
            'deviation',
            valid_type=orm.ArrayData,
            required=False,
            help='`step` and the deviation of virial (eV/atom) and force (eV/A): `max_devi_f`...',
        )
        spec.output(
            'structure',
            valid_type=orm.StructureData,
            required=False,
            help='The last configuration; atoms are not wrapped.',
        )
        spec.outputs[
            'results'
        ].help = 'Last step, `verdict` and its `reason`, speed, density, its drift, means and spreads of production.'
        spec.default_output_node = 'results'

    @classmethod
    def _define_exit_codes(cls, spec: CalcJobProcessSpec) -> None:
        for label in ('ERROR_PARSER_DETECTED_LAMMPS_RUN_ERROR', 'ERROR_PARSING_OUTFILE'):
            spec.exit_codes.pop(label)
        exit_code(
            spec,
            'ERROR_NO_RETRIEVED_FOLDER',
            message='No files were retrieved from the computer: check its transport and submit again.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_OUTFILE_MISSING',
            message='LAMMPS ended before its first step without an error message: see the end of the standard error.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_INTERRUPTED',
            message='The dynamics ended at step {step} of {steps}: continue it with its working directory as '
            '`restart_folder`.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_DAMAGED_OUTPUT',
            message='Only {found} of {due} frames of the {what} were written completely: check the disk of the '
            'computer and run it again.',
            invalidates_cache=True,
        )
        define_stops(spec)
        exit_code(
            spec,
            'ERROR_LAMMPS_FAILED',
            message='LAMMPS stopped with an error ({reason}): see `lammps.out` in the retrieved folder.',
            invalidates_cache=True,
        )

    def model_names(self) -> list[str]:
        """Return the file names of the potentials in the order in which LAMMPS reads them."""
        potentials = self.inputs.potentials
        return [staged_name(potentials[label], self.MODEL.format(label=label)) for label in sorted(potentials)]

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write script and data file, and copy the potentials."""
        parameters = MDParameters.model_validate(self.inputs.parameters.get_dict()).model_dump()
        structure, options = self.inputs.structure, self.inputs.metadata.options
        kinds = kinds_of(structure)
        continued = 'restart_folder' in self.inputs
        names, positions = zip(*((site.kind_name, site.position) for site in structure.sites), strict=True)
        data, _ = datafile.format_data_file(names, structure.cell, positions, kinds)
        turned, _ = datafile.lammps_frame(structure.cell)
        elements = [element for element, _ in kinds.values()]
        pair = lammps_commands(
            self.model_names(),
            elements,
            deviation_file=DEVIATION_FILE,
            deviation_interval=script.deviation_interval(parameters),
            relative=parameters['relative_deviation'],
        )
        text = script.build_script(
            parameters,
            pair,
            elements,
            continued=continued,
            walltime_s=time_to_run(options.get('max_wallclock_seconds')),
            orthogonal=not np.tril(turned, -1).any(),
        )
        folder.create_file_from_filelike(io.StringIO(text), options.input_filename, mode='w')
        info = CalcInfo()
        if continued:
            restart = self.inputs.restart_folder
            source = f'{restart.get_remote_path()}/{RESTART_FOLDER}'
            info.remote_symlink_list = [(restart.computer.uuid, source, PREVIOUS_FOLDER)]
        else:
            folder.create_file_from_filelike(io.StringIO(data), script.DATA_FILE, mode='w')
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = ['-in', options.input_filename, '-log', 'none']
        code.stdout_name = options.output_filename
        info.codes_info = [code]
        info.local_copy_list = [
            stage_potential(potential, self.MODEL.format(label=label))
            for label, potential in sorted(self.inputs.potentials.items())
        ]
        if parameters['trajectory_interval']:
            # The trajectory stays on the compute machine; only its number of frames is retrieved.
            info.append_text = f"grep -c '^ITEM: TIMESTEP' {TRAJECTORY_FILE} > {COUNT_FILE}"
        info.retrieve_list = [options.output_filename]
        # These files are stored as separate nodes; a second copy in the retrieved folder would be redundant.
        info.retrieve_temporary_list = [LAST_FILE]
        if parameters['trajectory_interval']:
            info.retrieve_temporary_list.append(COUNT_FILE)
        if parameters['sample_interval']:
            info.retrieve_temporary_list.append(SAMPLES_FILE)
        if len(self.inputs.potentials) > 1:
            info.retrieve_temporary_list.append(DEVIATION_FILE)
        return info
