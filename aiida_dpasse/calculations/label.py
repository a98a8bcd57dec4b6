"""`LabelCalculation`: energies, forces and virials of many frames in one job."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any, ClassVar

from aiida import orm
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec, Process
from ase.calculators.calculator import names as ase_names

from aiida_dpasse.calculations.driver import FRAMES, DriverCalculation
from aiida_dpasse.calculations.staging import stage_potential, staged_name
from aiida_dpasse.data.engine import Potential, validate_potentials, version_of
from aiida_dpasse.data.frames import FramesData
from aiida_dpasse.drivers.calculators import ALLOWANCE, KNOWN, allowance_in, objection_to_calculator
from aiida_dpasse.exit_codes import exit_code
from aiida_dpasse.labels.admission import limits_of
from aiida_dpasse.labels.records import JOURNAL
from aiida_dpasse.parameters.base import given, parameters_validator
from aiida_dpasse.parameters.label import LabelJobParameters, RelaxationParameters

__all__ = ('LabelCalculation', 'RelaxationParameters', 'validate_calculator')

#: Arguments of CHGNet, MACE and SevenNet that choose the device.
DEVICE = ('device', 'use_device', 'check_cuda_mem')
#: Help of every input that takes a calculator.
CALCULATOR_HELP = (
    "ASE calculator: `name` ('sevennet-l3i5', 'sevennet-0', 'chgnet', 'emt', 'lj' ...; another of ASE's, or "
    f"'module:Class', after `export {ALLOWANCE}=...` on the computer of the code) and its arguments."
)


def validate_calculator(calculator: orm.Dict | None, _: Any) -> str | None:
    """Return an error message if ``calculator`` does not name an ASE calculator.

    :param calculator: ``name`` of the calculator, and its arguments.
    """
    if calculator is None:
        return None
    given = calculator.get_dict()
    name = given.get('name')
    if not isinstance(name, str) or not _may_exist(name):
        return (
            f'calculator: `name` should be {", ".join(f"`{known}`" for known in KNOWN)}, a calculator of ASE or '
            f'`module:Class`, got {name!r}; the other entries are its arguments.'
        )
    path, fixed = KNOWN.get(name, (name, {}))
    if both := sorted(set(fixed) & set(given)):
        return f'calculator: the name `{name}` determines `{both[0]}`: omit it, or give `{path}` as the name.'
    # Once, in the user's shell: children validate the same calculator again.
    if is_known_soft(given) and Process.current() is None:
        warnings.warn(
            f'The forces of the calculator `{name}` in its r2SCAN variant are known to be softer than those of CHGNet: '
            'label with `sevennet-l3i5`, or measure them with `aiida-dpasse passport`.',
            stacklevel=2,
        )
    return None


def check_allowed(
    calculator: orm.Dict | None, code: orm.AbstractCode | None, options: Mapping[str, Any] | None = None
) -> str | None:
    """Return an error message if the computer of the code does not allow a calculator, see `drivers.calculators`.

    The driver checks it again, with the environment that it runs in.

    :param calculator: ``name`` of the calculator, and its arguments.
    :param code: code that runs the driver; None is not checked.
    :param options: scheduler options of the job, or of all programs by their names.
    """
    if calculator is None or code is None:
        return None
    lines = [code.prepend_text, *_shell_lines(options or {})]
    if (computer := getattr(code, 'computer', None)) is not None:
        lines.append(computer.get_prepend_text())
    allowed = ','.join(value for value in map(allowance_in, lines) if value)
    message = objection_to_calculator(calculator.get_dict(), allowed)
    return message and f'calculator: {message}.'


def _shell_lines(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the shell lines that precede a program, and those that assign its environment variables."""
    for name, value in options.items():
        if name == 'prepend_text':
            yield str(value)
        elif name == 'environment_variables' and isinstance(value, Mapping):
            yield from (f'{variable}={content!r}' for variable, content in value.items())
        elif isinstance(value, Mapping):
            yield from _shell_lines(value)


def is_known_soft(calculator: Mapping[str, Any]) -> bool:
    """Whether a calculator is CHGNet or SevenNet-MF-0 in its r2SCAN variant, recognised by its name and arguments.

    :param calculator: ``name`` of the calculator, and its arguments.
    """
    text = ' '.join(str(value) for value in calculator.values()).lower().replace('_', '-')
    return 'r2scan' in text and any(name in text for name in ('chgnet', '7net-mf-0', 'sevennet-mf-0'))


def physics_of(calculator: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the class of a calculator and those of its arguments that affect its results.

    :param calculator: ``name`` of the calculator, and its arguments.

    >>> physics_of({'name': 'sevennet-0', 'device': 'cuda'})
    ('sevenn.calculator:SevenNetCalculator', {'model': '7net-0'})
    """
    path, fixed = KNOWN.get(calculator['name'], (calculator['name'], {}))
    return path, {**fixed, **{key: value for key, value in calculator.items() if key not in ('name', *DEVICE)}}


def _may_exist(name: str) -> bool:
    """Whether a calculator of this name may exist on the computer of the code; those of ASE are also known locally."""
    module, colon, attribute = name.partition(':')
    if colon:
        return all(part.isidentifier() for part in [*module.split('.'), attribute])
    if name in KNOWN or name in ase_names:
        return True
    return name.isidentifier() and find_spec(f'ase.calculators.{name}') is not None


def validate_labelling(inputs: Any, _: Any = None) -> str | None:
    """Return an error message unless either a calculator or a potential is given and supports all elements.

    :param inputs: inputs of the process.
    :return: the message, or None if the inputs are valid.
    """
    inputs = given(inputs)
    if ('calculator' in inputs) == ('potential' in inputs):
        found = 'both are' if 'calculator' in inputs else 'neither is'
        return f'calculator, potential: give one of them to label with; {found} given.'
    if message := check_allowed(
        inputs.get('calculator'), inputs.get('code'), inputs.get('metadata', {}).get('options')
    ):
        return message
    return validate_teacher(inputs)


def validate_teacher(inputs: Any) -> str | None:
    """Return an error message if the labelling potential lacks an element, or the code cannot evaluate it.

    :param inputs: inputs of a process, of which ``potential``, ``frames``, ``structures`` and the code are considered.
    """
    inputs = given(inputs)
    if 'potential' not in inputs:
        return None
    elements = set(inputs['frames'].elements) if 'frames' in inputs else set()
    for structure in inputs.get('structures', {}).values():
        elements |= set(structure.get_symbols_set())
    potential, code = inputs['potential'], inputs.get('code') or inputs.get('codes', {}).get('python')
    message = potential.check_elements(elements, 'the frames') or potential.check_usable_in_python(version_of(code))
    return message and f'potential: {message}'


def time_to_run(walltime_s: int | None) -> float | None:
    """Return the time in s after which the driver stops by itself.

    The margin before the walltime is 10 %, at least 5 s and at most 300 s, so that finished labels are written in time.

    :param walltime_s: walltime of the job in s, or None.
    :return: None without a walltime.
    """
    if walltime_s is None:
        return None
    return walltime_s - min(300.0, max(5.0, 0.1 * walltime_s))


class LabelCalculation(DriverCalculation):
    """Calculation job that labels frames with an ASE calculator or a DeePMD potential and accounts for every frame."""

    DRIVER = 'label'
    MODULES = (
        'deepmd.arrays',
        'deepmd.dataset',
        'deepmd.frameset',
        'deepmd.intake',
        'labels.admission',
        'drivers.calculators',
        'drivers.dynamics',
        'drivers.labellers',
        'labels.records',
        'drivers.relaxation',
        'quoting',
        'seeds',
        'structures.distances',
        'unreadable',
    )
    RETRIEVE: ClassVar[tuple[Any, ...]] = (JOURNAL,)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the ports and exit codes."""
        super().define(spec)
        spec.input('frames', valid_type=FramesData, help='Frames to label, or initial frames of dynamics.')
        spec.input(
            'calculator',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            validator=validate_calculator,
            help=CALCULATOR_HELP,
        )
        spec.input(
            'potential',
            valid_type=Potential,
            validator=validate_potentials,
            required=False,
            help='Potential that labels, instead of a calculator.',
        )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            default=lambda: orm.Dict({}),
            validator=parameters_validator(LabelJobParameters),
            help='Acceptance criteria, and dynamics or relaxation.',
        )
        spec.inputs['metadata']['options']['parser_name'].default = 'dpasse.label'
        spec.inputs.validator = validate_labelling
        spec.output('frames', valid_type=FramesData, required=False, help='Accepted frames with their labels.')
        spec.output(
            'account',
            valid_type=orm.Dict,
            help='`requested`, `admitted`, and `rejected`, `failed` and `objections` as lists of `id` and `reason`.',
        )
        exit_code(
            spec,
            'ERROR_INTERRUPTED',
            message='The job ended early ({reason}). The finished frames are attached; label the failed ones again.',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_NO_FRAME_ADMITTED',
            message='None of the {requested} frames was accepted; the first reason is: {reason}. See `account`.',
        )
        exit_code(
            spec,
            'ERROR_LABELLER',
            message='The labeller did not start ({reason}). Install it, or correct its arguments.',
            invalidates_cache=True,
        )

    def driver_job(self, folder: Folder) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
        """Write the frames; return the job and the potential to copy."""
        self.inputs.frames.write(folder.get_subfolder(FRAMES, create=True).abspath)
        copies = []
        job: dict[str, Any] = {
            'calculator': self.inputs.calculator.get_dict() if 'calculator' in self.inputs else None,
            'potential': None,
            'parameters': limits_of(self.inputs.parameters.get_dict(), self.inputs.frames.elements),
            'seconds': time_to_run(self.inputs.metadata.options.get('max_wallclock_seconds')),
        }
        if 'potential' in self.inputs:
            # DeePMD-kit determines the backend from the suffix.
            potential = self.inputs.potential
            job['potential'] = staged_name(potential, 'potential')
            copies.append(stage_potential(potential, 'potential'))
        return job, copies
