"""Which versions of DeePMD-kit can read a model file."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

#: First version of DeePMD-kit with a descriptor; older descriptors are omitted.
_SINCE = {'dpa2': '3.0', 'dpa3': '3.1', 'dpa4': '3.2', 'dpa4c': '3.2'}
#: All descriptors of DeePMD-kit by the names that it accepts, and that of a graph which does not name its own.
DESCRIPTORS = {
    *('loc_frame', 'se_e2_a', 'se_a', 'se_e3', 'se_at', 'se_a_3be', 'se_t', 'se_e3_tebd', 'se_a_ebd_v2', 'se_a_tpe_v2'),
    *('se_a_tpe', 'se_a_ebd', 'se_a_mask', 'se_e2_r', 'se_r', 'se_atten', 'se_atten_v2', 'dpa1', 'hybrid'),
    *('dpa2', 'dpa3', 'dpa4', 'sezm', 'dpa4c', 'unknown'),
}
#: Descriptors whose neighbours are counted for each element.
_BY_ELEMENT = {'se_e2_a', 'se_a', 'se_e2_r', 'se_r', 'se_e3', 'se_t', 'se_at', 'hybrid'}
_CONVERT = 'convert it with `dp convert-backend old.pth new.pth` and import the result.'


def read_version(text: str) -> Version:
    """Parse a version of DeePMD-kit, with or without a leading v.

    :raises ValueError: in one sentence, if ``text`` is not a version.
    """
    try:
        return Version(text.removeprefix('v'))
    except InvalidVersion:
        raise ValueError(f'`{text}` is not a version of DeePMD-kit: write it like 3.2.0.') from None


def objection_to_version(
    version: str | None, descriptor: str, needs_migration: bool, written: str | None = None
) -> str | None:
    """Return one sentence if DeePMD-kit ``version`` cannot read a model; None if it can.

    If the version is unknown, only a checkpoint that needs a migration is refused: all supported versions require it.

    :param version: of the DeePMD-kit that would read the model, None if unknown.
    :param descriptor: types of descriptor, joined by '+'.
    :param needs_migration: whether it is a DPA-2 checkpoint of DeePMD-kit 3.0.
    :param written: version of the DeePMD-kit that wrote the model, if known.
    :raises ValueError: if ``version`` or ``written`` is not a version.
    """
    if needs_migration and (not version or read_version(version) >= Version('3.1')):
        return (
            f'The DPA-2 checkpoint was written by DeePMD-kit 3.0 and cannot be read by {version or "later versions"}: '
            'migrate it with `aiida-dpasse potential migrate`, or use a code with DeePMD-kit 3.0.'
        )
    if not version:
        return None
    program = read_version(version)
    if unknown := [kind for kind in descriptor.split('+') if kind not in DESCRIPTORS]:
        return f'DeePMD-kit has no descriptor `{unknown[0]}`: give a model of one of its own.'
    first = [Version(_SINCE[kind]) for kind in descriptor.split('+') if kind in _SINCE]
    if first and program < max(first):
        return f'The descriptor `{descriptor}` needs DeePMD-kit {max(first)}, the code has {version}: use a newer one.'
    if written is not None and read_version(written).release[:2] > program.release[:2]:
        return f'It was written by DeePMD-kit {written}, the code has {version}: use a code at least as new.'
    return None


def objection_to_python(version: str | None, before: str | None) -> str | None:
    """Return one sentence if the Python of DeePMD-kit ``version`` cannot evaluate a frozen model; None if it can.

    :param version: of the DeePMD-kit that would evaluate the model, None if unknown, which is accepted.
    :param before: first release whose Python cannot evaluate the model, None if every release can.
    :raises ValueError: if ``version`` is not a version.
    """
    if before is None or not version or read_version(version) < Version(before):
        return None
    return f'It was frozen by a DeePMD-kit before {before}, and the Python of {version} cannot evaluate it: {_CONVERT}'


def objection_to_lammps(descriptor: str, before: str | None) -> str | None:
    """Return one sentence if LAMMPS would compute wrong forces with a frozen model; None if it would not.

    A model frozen before 3.2 takes the neighbours of each element from LAMMPS' list in the order of the list, up to
    `sel` of the element. The list is longer by LAMMPS' skin, so that near neighbours are lost behind far ones.

    :param descriptor: types of descriptor, joined by '+'.
    :param before: first release whose Python cannot evaluate the model, None if every release can.
    """
    if before is None or not _BY_ELEMENT & set(descriptor.split('+')):
        return None
    return f'It was frozen by a DeePMD-kit before {before}, and LAMMPS can lose neighbours with it: {_CONVERT}'
