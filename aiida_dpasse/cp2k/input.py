"""CP2K input for labels of given frames in one run, for short molecular dynamics, or for a relaxation.

Sections and keywords are those of CP2K (manual.cp2k.org), as nested mappings. Given frames are run as molecular
dynamics along a reference trajectory, so that CP2K starts only once for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

from aiida_dpasse.cp2k.releases import WITHOUT_EVAL_FORCES, parse_release
from aiida_dpasse.cp2k.units import BOHR, HARTREE
from aiida_dpasse.merging import merge

#: Parametrization in CP2K's section `PBE`, by the name of the functional.
FUNCTIONALS = {'PBESOL': 'PBESOL', 'PBE': 'ORIG', 'REVPBE': 'REVPBE'}
#: Files that aiida-cp2k writes.
REFERENCE, REFERENCE_CELLS = 'aiida-reftraj.xyz', 'aiida-reftraj.cell'
#: Default settings of the self-consistency (`SCF`) and of everything else (`DEFAULTS`).
SCF: dict[str, Any] = {
    'solver': 'diagonalization',
    'eps': 1e-6,
    'steps': 50,
    'mixing': {},
    'ot': {},
    'smearing': None,
    'added_orbitals': 0,
}
DEFAULTS: dict[str, Any] = {
    'functional': 'PBESOL',
    'eps_default': 1e-12,
    'kpoints': None,
    'scf': SCF,
    'input': {},
    'release': None,
}
#: Keywords of files that CP2K only reads, which may be anywhere on its machine.
READ = (
    'BASIS_SET_FILE_NAME',
    'POTENTIAL_FILE_NAME',
    'PARAMETER_FILE_NAME',
    'KERNEL_FILE_NAME',
    'MM_POTENTIAL_FILE_NAME',
)
_NAME = re.compile(r'[A-Za-z0-9_+-]+')
#: What begins a line, a section, a command of the preprocessor (`@INCLUDE`) or one of its variables.
_MARKUP = re.compile(r'^\s*[&@]|&END|\$\{?\w|[\0-\x1f\x7f]', re.IGNORECASE)
_OUTSIDE = re.compile(r'(^|[\s="\'])[=]*[/~]|(^|/)\.\.(/|$)')
#: Number of steps after which the preconditioner of OT is renewed.
INNER_STEPS = 20


def objection_to_lines(sections: Any) -> str | None:
    """Check that names and values are parts of one line each, which includes no other file and writes none elsewhere.

    :param sections: nested sections of CP2K's input.
    :returns: a clause that states the problem, or None.
    """
    for name, value in sections.items():
        if name != '_' and not _NAME.fullmatch(name):
            return f'{name!r} is not the name of a section or keyword: correct it'
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                if message := objection_to_lines(item):
                    return message
            elif item is not None and not isinstance(item, (str, int, float)):
                return f'{name} should be a number, text or a section, got {str(item)[:60]!r}'
            elif isinstance(item, str) and _MARKUP.search(item):
                return f'the value of {name} contains a character that begins another line or section: remove it'
            elif isinstance(item, str) and _OUTSIDE.search(item) and name.upper() not in READ:
                return f'{name} names {item[:60]!r}: only files in the folder of the job can be named'
    return None


def missing_kinds(elements: Iterable[str], kinds: Mapping[str, Any]) -> list[str]:
    """Return the elements without a basis set or pseudopotential.

    :param elements: symbols of the elements.
    :param kinds: keywords of `KIND` by element.
    """
    return [name for name in elements if not {'BASIS_SET', 'POTENTIAL'} <= set(kinds.get(name, {}))]


def label_input(
    elements: Iterable[str],
    settings: Mapping[str, Any],
    mesh: tuple[int, int, int] = (1, 1, 1),
    frames: int | None = None,
    dynamics: Mapping[str, Any] | None = None,
    relaxation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the CP2K input of a labelling job.

    :param elements: symbols of the elements in the frames.
    :param settings: ``functional`` (None if ``input`` has it), ``cutoff`` and ``rel_cutoff`` (Ry), ``eps_default``,
        ``scf`` (see :func:`scf_section`), ``kinds`` (keywords of `KIND` by element) and ``input`` (sections that update
        the generated ones); those in ``DEFAULTS`` are optional.
    :param mesh: k-point mesh; (1, 1, 1) is the Gamma point.
    :param frames: number of given frames to label.
    :param dynamics: parameters of :func:`dynamics_motion`.
    :param relaxation: parameters of :func:`relaxation_motion`.
    :returns: the input as nested mappings.
    :raises ValueError: if an element has no basis set or pseudopotential, or not exactly one of ``frames``,
        ``dynamics`` and ``relaxation`` is given.
    """
    settings = merge(DEFAULTS, settings)
    names = list(elements)
    if missing := missing_kinds(names, settings['kinds']):
        raise ValueError(f'kinds: {missing[0]} has no BASIS_SET and POTENTIAL; give them as CP2K names them.')
    if [frames, dynamics, relaxation].count(None) != 2:
        raise ValueError('Give one of the number of frames, the dynamics and the relaxation to run.')
    gamma = tuple(mesh) == (1, 1, 1)
    density: dict[str, Any] = {
        'BASIS_SET_FILE_NAME': 'BASIS_MOLOPT',
        'POTENTIAL_FILE_NAME': 'GTH_POTENTIALS',
        'MGRID': {'CUTOFF': settings['cutoff'], 'REL_CUTOFF': settings['rel_cutoff'], 'NGRIDS': 5},
        'QS': {
            'METHOD': 'GPW',
            'EPS_DEFAULT': settings['eps_default'],
            'EXTRAPOLATION': _extrapolation(gamma, frames is None),
        },
        'SCF': scf_section(settings['scf']),
    }
    if settings['functional'] is not None:
        density['XC'] = {'XC_FUNCTIONAL': {'PBE': {'PARAMETRIZATION': FUNCTIONALS[settings['functional']]}}}
    if not gamma:
        scheme = f'MONKHORST-PACK {mesh[0]} {mesh[1]} {mesh[2]}'
        density['KPOINTS'] = {'SCHEME': scheme, 'SYMMETRY': '.FALSE.', 'FULL_GRID': '.FALSE.'}
    given = merge({'FORCE_EVAL': {'METHOD': 'QS', 'DFT': density}}, settings['input'])
    if relaxation is not None:
        run, motion = 'CELL_OPT' if relaxation['cell'] else 'GEO_OPT', relaxation_motion(relaxation)
    elif dynamics is not None:
        run, motion = 'MD', dynamics_motion(dynamics)
    else:
        run, motion = 'MD', reference_motion(frames or 0, settings['release'])
    every_step = {'_': 'ON', 'EACH': {run: 1}}
    ours = {
        'GLOBAL': {'RUN_TYPE': run, 'PRINT_LEVEL': 'LOW'},
        'FORCE_EVAL': {
            # The stress file of MOTION has zeros for given frames and the kinetic part in dynamics. The log has the
            # stress without the motion of the ions, which is the label.
            'STRESS_TENSOR': 'ANALYTICAL',
            'PRINT': {'STRESS_TENSOR': every_step},
            'SUBSYS': {'KIND': [{'_': name, **settings['kinds'][name]} for name in names]},
        },
        'MOTION': {
            run: motion,
            'PRINT': {
                'TRAJECTORY': {'FORMAT': 'XYZ', 'UNIT': 'angstrom', 'EACH': {run: 1}},
                'FORCES': every_step,
                'CELL': every_step,
                'RESTART': {'_': 'OFF'},
                'RESTART_HISTORY': {'_': 'OFF'},
            },
        },
    }
    return dict(merge(given, ours))


def scf_section(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `SCF`.

    :param settings: ``solver`` ('ot' or 'diagonalization'), ``eps``, ``steps`` (total of inner and outer loops),
        ``mixing`` and ``ot`` (keywords of `MIXING`, for diagonalization, and of `OT`), ``smearing`` (Fermi-Dirac
        temperature in K, or None) and ``added_orbitals``.
    """
    steps = int(settings['steps'])
    section: dict[str, Any] = {
        'SCF_GUESS': 'ATOMIC',
        'EPS_SCF': settings['eps'],
        'MAX_SCF': steps,
        'PRINT': {'RESTART': {'_': 'OFF'}},
    }
    if settings['solver'] == 'ot':
        section['OT'] = {'MINIMIZER': 'CG', 'PRECONDITIONER': 'FULL_SINGLE_INVERSE', **settings['ot']}
        if steps > INNER_STEPS:
            section['MAX_SCF'] = INNER_STEPS
            section['OUTER_SCF'] = {'EPS_SCF': settings['eps'], 'MAX_SCF': ceil(steps / INNER_STEPS) - 1}
        return section
    section['DIAGONALIZATION'] = {'ALGORITHM': 'STANDARD'}
    section['MIXING'] = {'METHOD': 'BROYDEN_MIXING', 'ALPHA': 0.4, 'NBROYDEN': 8, **settings['mixing']}
    section['ADDED_MOS'] = settings['added_orbitals']
    if settings['smearing']:
        section['SMEAR'] = {'_': 'ON', 'METHOD': 'FERMI_DIRAC', 'ELECTRONIC_TEMPERATURE': settings['smearing']}
    return section


def reference_motion(frames: int, release: str | None = None) -> dict[str, Any]:
    """Return the section `MD` that evaluates given frames, each in its own cell.

    :param frames: number of frames.
    :param release: release of CP2K, as 2026.2; None for any before that.
    :raises ValueError: if the release is not supported.
    """
    if release is not None and parse_release(release) >= WITHOUT_EVAL_FORCES:
        evaluated = {'EVAL': 'ENERGY_FORCES'}
    else:
        # Without the second, CP2K 2023.1 writes zero forces.
        evaluated = {'EVAL_ENERGY_FORCES': '.TRUE.', 'EVAL_FORCES': '.TRUE.'}
    return {
        'ENSEMBLE': 'REFTRAJ',
        'STEPS': frames,
        'TIMESTEP': 0.5,
        'REFTRAJ': {
            'TRAJ_FILE_NAME': REFERENCE,
            'CELL_FILE_NAME': REFERENCE_CELLS,
            'VARIABLE_VOLUME': '.TRUE.',
            **evaluated,
            'FIRST_SNAPSHOT': 1,
            'LAST_SNAPSHOT': frames,
            'STRIDE': 1,
        },
    }


def dynamics_motion(dynamics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `MD` of Langevin dynamics at constant volume.

    :param dynamics: ``temperature`` and, if it changes, ``final_temperature`` (K), ``steps``, ``timestep`` (fs) and
        ``friction`` (1/fs).
    """
    motion = {
        'ENSEMBLE': 'LANGEVIN',
        'STEPS': dynamics['steps'],
        'TIMESTEP': dynamics['timestep'],
        'TEMPERATURE': dynamics['temperature'],
        'LANGEVIN': {'GAMMA': dynamics['friction']},
    }
    if dynamics.get('final_temperature'):
        motion['TEMPERATURE_ANNEALING'] = _growth(dynamics)
    return motion


def relaxation_motion(relaxation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `GEO_OPT`, or `CELL_OPT` at zero pressure, of a relaxation.

    :param relaxation: ``max_force`` (eV/A), ``steps`` and ``cell``, which also relaxes the lattice.
    """
    # CP2K's criterion is the largest component of a force; the criteria on the last displacement are disabled.
    force = relaxation['max_force'] / 3**0.5 / (HARTREE / BOHR)
    section = {
        'OPTIMIZER': 'BFGS',
        'MAX_ITER': relaxation['steps'],
        **{'MAX_FORCE': force, 'RMS_FORCE': force, 'MAX_DR': 1.0, 'RMS_DR': 1.0},
    }
    return {'TYPE': 'DIRECT_CELL_OPT', **section} if relaxation['cell'] else section


def temperature_at(step: int, dynamics: Mapping[str, Any]) -> float:
    """Return the temperature in K of a step; CP2K multiplies it by a constant factor at each step.

    :param step: step of the dynamics.
    :param dynamics: as in :func:`dynamics_motion`.
    """
    return float(dynamics['temperature'] * _growth(dynamics) ** step)


def _growth(dynamics: Mapping[str, Any]) -> float:
    final = dynamics.get('final_temperature') or dynamics['temperature']
    return float((final / dynamics['temperature']) ** (1 / dynamics['steps']))


def _extrapolation(gamma: bool, moving: bool) -> str:
    """Return the extrapolation method.

    Given frames start from the atomic guess, so that no label depends on another frame; a job that moves the atoms
    extrapolates from previous steps.
    """
    if not moving:
        return 'USE_GUESS'
    return 'ASPC' if gamma else 'USE_PREV_P'
