"""Text of small CIFs."""

from __future__ import annotations

_HEAD = """data_{name}
_cell_length_a {length}
_cell_length_b {length}
_cell_length_c {length}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M '{group}'
"""
_SITES = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


def cif_head(name: str = 'x', length: float = 5.0, group: str = 'P 1') -> str:
    """Return the cell and the space group of a cubic crystal (length in A), without sites."""
    return _HEAD.format(name=name, length=length, group=group)


def cif(atoms: str, more: str = '', name: str = 'x', length: float = 5.0, group: str = 'P 1') -> str:
    """Return the CIF of a cubic crystal.

    :param atoms: a line for each site: label, element, three fractional coordinates, occupancy.
    :param more: lines before the sites; others as in `cif_head`.
    """
    return cif_head(name, length, group) + more + _SITES + atoms
