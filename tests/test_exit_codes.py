"""One name of an exit code has one number, and one number one name, in all of our processes."""

from __future__ import annotations

from importlib.metadata import entry_points

from aiida_dpasse.exit_codes import STATUSES
from aiida_dpasse.renamed import ENTRY_POINTS

#: Those of AiiDA, its schedulers, its restarting chains, and of aiida-lammps.
AIIDA = {1, 2, 10, 11, *range(100, 200), 301, 302, 401, 402}


def test_names_and_numbers_go_together():
    """Two processes never mean different things by one number, nor by one name."""
    assert len(set(STATUSES.values())) == len(STATUSES)
    assert not AIIDA & set(STATUSES.values())
    for group in ('aiida.workflows', 'aiida.calculations'):
        for entry in entry_points(group=group):
            if not entry.name.startswith('dpasse.') or entry.name in ENTRY_POINTS or not hasattr(entry.load(), 'spec'):
                continue
            for name, code in entry.load().spec().exit_codes.items():
                if code.status not in AIIDA:
                    assert STATUSES[name] == code.status, f'{entry.name}: {name} {code.status}'
