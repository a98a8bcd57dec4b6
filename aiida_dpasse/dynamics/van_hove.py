"""Van Hove maps of the mobile ions, read from the nodes that hold them."""

from __future__ import annotations

from aiida import orm

from aiida_dpasse.reports.van_hove_plot import VanHove


def read_maps(data: orm.ArrayData, temperatures: list[float | None], suffix: str = '_{:02d}') -> list[VanHove]:
    """Return the maps by temperature; temperatures without maps are left out.

    :param data: node with the maps.
    :param temperatures: temperatures in K, in the order of the arrays.
    :param suffix: format of the array name suffix by index.
    """
    names = data.get_arraynames()
    found = []
    for index, temperature in enumerate(temperatures):
        end = suffix.format(index)
        if f'self_per_A{end}' not in names:
            continue
        pairs = f'distinct{end}' in names
        found.append(
            VanHove(
                temperature,
                data.get_array(f'map_lag_ps{end}'),
                data.get_array(f'self_r_A{end}'),
                data.get_array(f'self_per_A{end}'),
                data.get_array(f'distinct_r_A{end}') if pairs else None,
                data.get_array(f'distinct{end}') if pairs else None,
            )
        )
    return found
