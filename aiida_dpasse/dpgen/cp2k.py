"""Convert the CP2K input of DP-GEN into labelling parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_dpasse.cp2k.input import FUNCTIONALS
from aiida_dpasse.dpgen.keys import Keys, Ledger, mapping, number, shortened, whole
from aiida_dpasse.merging import merge
from aiida_dpasse.unreadable import UnreadableError

#: DP-GEN's defaults, as far as they concern the physics.
DEFAULTS: dict[str, Any] = {
    'MGRID': {'CUTOFF': 400, 'REL_CUTOFF': 50, 'NGRIDS': 4},
    'QS': {'EPS_DEFAULT': 1.0e-12},
    'SCF': {'EPS_SCF': 1.0e-6, 'MAX_SCF': 50},
    'XC': {'XC_FUNCTIONAL': {'_': 'PBE'}},
}
_OURS = 'labelling writes it'
_FILES = 'CP2K finds the files that come with it: for others give a path on the computer in `label.cp2k.input`'


def cp2k_parameters(keys: Keys) -> dict[str, Any]:
    """Return ``cp2k`` of the parameters of `label`, or nothing if the file refers to a separate input file.

    :param keys: keys of param.json.
    :raises UnreadableError: as :func:`settings`.
    """
    if 'user_fp_params' not in keys and 'external_input_path' in keys:
        keys.leave('external_input_path', 'an input file is not read: give its settings in `label.cp2k`')
    else:
        keys.leave('external_input_path', 'DP-GEN takes `user_fp_params` instead')
    for name in ('fp_pp_path', 'fp_pp_files', 'fp_incar'):
        keys.leave(name, _FILES)
    given = keys.take(('user_fp_params', 'fp_params'), 'label.cp2k')
    if given is None:
        return {}
    for name in ('user_fp_params', 'fp_params'):
        if name in keys and keys.content[name] is not given:
            keys.leave(name, 'DP-GEN takes `user_fp_params` instead')
    where = 'user_fp_params' if 'user_fp_params' in keys else 'fp_params'
    return {'cp2k': settings(upper(Keys(given, keys.ledger, f'{where}.').content), where, keys.ledger)}


def upper(tree: Any) -> Any:
    """Convert the names of sections and keywords to capitals and remove comments.

    :param tree: nested sections.
    """
    if not isinstance(tree, Mapping):
        return tree
    return {str(key).upper(): upper(value) for key, value in tree.items() if key == '_' or not str(key).startswith('_')}


def settings(given: Mapping[str, Any], where: str, ledger: Ledger) -> dict[str, Any]:
    """Return the CP2K parameters: those with a name of their own, and the remaining sections as ``input``.

    :param given: sections of the CP2K input, with names in capitals.
    :param where: key of the sections in param.json, for messages.
    :param ledger: record of the keys without a counterpart.
    :raises UnreadableError: if no element has a basis set, or a value is not a number.
    """
    sections = {name: value for name, value in given.items() if name != 'FORCE_EVAL'}
    evaluation = mapping(given.get('FORCE_EVAL', {}), 'FORCE_EVAL')
    project = mapping(sections.get('GLOBAL', {}), 'GLOBAL')
    for name in ('PROJECT', 'PROJECT_NAME', 'RUN_TYPE', 'PRINT_LEVEL'):
        if name in project:
            ledger.leave(f'{where}.GLOBAL.{name}', project.pop(name), _OURS)
    _put(sections, 'GLOBAL', project)
    if 'MOTION' in sections:
        ledger.leave(f'{where}.MOTION', sections.pop('MOTION'), _OURS)
    for name in ('STRESS_TENSOR', 'PRINT'):
        if name in evaluation:
            ledger.leave(f'{where}.FORCE_EVAL.{name}', evaluation.pop(name), _OURS)
    system = mapping(evaluation.pop('SUBSYS', {}), 'SUBSYS')
    kinds = kinds_of(system.pop('KIND', None), where)
    for name in ('CELL', 'COORD', 'TOPOLOGY'):
        if name in system:
            ledger.leave(f'{where}.FORCE_EVAL.SUBSYS.{name}', system.pop(name), 'cell and atoms are those of the frame')
    density = merge(DEFAULTS, mapping(evaluation.pop('DFT', {}), 'DFT'))
    for name in ('BASIS_SET_FILE_NAME', 'POTENTIAL_FILE_NAME'):
        if name in density:
            ledger.leave(f'{where}.FORCE_EVAL.DFT.{name}', density.pop(name), _FILES)
    own = _density(density)
    _put(evaluation, 'SUBSYS', system)
    _put(evaluation, 'DFT', density)
    _put(sections, 'FORCE_EVAL', evaluation)
    return {**own, 'kinds': kinds, 'input': sections}


def _density(density: dict[str, Any]) -> dict[str, Any]:
    """Remove the keywords with a parameter of their own from the section DFT and return the parameters."""
    grid, quickstep, exchange, section = (mapping(density.pop(name), name) for name in ('MGRID', 'QS', 'XC', 'SCF'))
    own: dict[str, Any] = {
        'cutoff': _real(grid.pop('CUTOFF'), 'CUTOFF'),
        'rel_cutoff': _real(grid.pop('REL_CUTOFF'), 'REL_CUTOFF'),
        'eps_default': _real(quickstep.pop('EPS_DEFAULT'), 'EPS_DEFAULT'),
        'kpoints': None,
        'functional': functional(exchange['XC_FUNCTIONAL']),
        'scf': {},
    }
    if own['functional'] is not None:
        exchange.pop('XC_FUNCTIONAL')
    scheme = str(mapping(density.get('KPOINTS', {}), 'KPOINTS').get('SCHEME', '')).split()
    if scheme[:1] == ['GAMMA']:
        density.pop('KPOINTS')
    elif len(scheme) == 4:
        density.pop('KPOINTS')
        own['kpoints'] = {'mesh': [whole(_real(word, 'SCHEME'), 'SCHEME') for word in scheme[1:]], 'spacing': None}
    own['scf'] = scf(section)
    for name, rest in (('MGRID', grid), ('QS', quickstep), ('XC', exchange), ('SCF', section)):
        _put(density, name, rest)
    return own


def scf(section: dict[str, Any]) -> dict[str, Any]:
    """Remove the keywords with a parameter of their own from the section SCF.

    :param section: section SCF, which is modified.
    :return: content of :class:`ScfParameters`.
    :raises UnreadableError: if a value is not a number.
    """
    steps = whole(_real(section.pop('MAX_SCF'), 'MAX_SCF'), 'MAX_SCF')
    outer = section.pop('OUTER_SCF', None)
    if isinstance(outer, Mapping):
        steps *= 1 + whole(_real(outer.get('MAX_SCF', 50), 'OUTER_SCF'), 'OUTER_SCF', least=0)
    own: dict[str, Any] = {'eps': _real(section.pop('EPS_SCF'), 'EPS_SCF'), 'steps': steps}
    # The atomic guess is the default here as well.
    section.pop('SCF_GUESS', None)
    section.pop('DIAGONALIZATION', None)
    rotation, mixing = section.pop('OT', None), section.pop('MIXING', None)
    own['solver'] = 'diagonalization' if rotation is None else 'ot'
    own |= {'ot': dict(rotation)} if isinstance(rotation, Mapping) else {}
    own |= {'mixing': dict(mixing)} if isinstance(mixing, Mapping) and rotation is None else {}
    if 'ADDED_MOS' in section:
        own['added_orbitals'] = whole(_real(section.pop('ADDED_MOS'), 'ADDED_MOS'), 'ADDED_MOS', least=0)
    return own


def functional(section: Any) -> str | None:
    """Return the name of a functional in :class:`Cp2kParameters`, or None if it has none.

    :param section: content of XC_FUNCTIONAL.
    """
    named = section if isinstance(section, Mapping) else {'_': section}
    detail = named.get('PBE')
    if isinstance(detail, Mapping) and set(detail) <= {'PARAMETRIZATION', '_'}:
        wanted = str(detail.get('PARAMETRIZATION', 'ORIG')).upper()
        return next((name for name, value in FUNCTIONALS.items() if value == wanted), None)
    return 'PBE' if named == {'_': 'PBE'} else None


def kinds_of(section: Any, where: str) -> dict[str, dict[str, Any]]:
    """Return the keywords of `KIND` by element, which DP-GEN stores as lists of equal length.

    :param section: content of `KIND`.
    :param where: key of the CP2K input in param.json, for messages.
    :raises UnreadableError: if no element is named, or a list has a different length.
    """
    name = f'{where}.FORCE_EVAL.SUBSYS.KIND'
    if not isinstance(section, Mapping) or not section.get('_'):
        raise UnreadableError(
            f'`{name}` should name elements (`_`), POTENTIAL and BASIS_SET, got {shortened(section)}.'
        )
    columns = {key: value if isinstance(value, list) else [value] for key, value in section.items()}
    elements = columns.pop('_')
    for key, values in columns.items():
        if len(values) != len(elements):
            raise UnreadableError(f'`{name}.{key}` should have one entry for each of {len(elements)} elements.')
    return {
        str(element): {key: values[index] for key, values in columns.items()} for index, element in enumerate(elements)
    }


def _real(value: Any, name: str) -> float:
    """Convert a number, which users of CP2K may also write as text with an exponent E or D."""
    if isinstance(value, str):
        try:
            value = float(value.upper().replace('D', 'E'))
        except ValueError:
            raise UnreadableError(f'`{name}` of CP2K should be a number, got {shortened(value)}.') from None
    return number(value, name)


def _put(sections: dict[str, Any], name: str, content: Mapping[str, Any]) -> None:
    """Set a section, or remove it if it is empty."""
    sections.pop(name, None)
    if content:
        sections[name] = dict(content)
