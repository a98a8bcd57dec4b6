"""Draw which subpackage imports from which, from the code: `python docs/rooms.py` writes `docs/rooms.svg`."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import matplotlib as mpl

mpl.use('svg')
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'aiida_dpasse'


def imports(room: str) -> Counter[str]:
    """Return how many modules of each other subpackage those of ``room`` import."""
    found: Counter[str] = Counter()
    for path in (PACKAGE / room).rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('aiida_dpasse.'):
                other = str(node.module).split('.')[1]
                if other != room and (PACKAGE / other).is_dir():
                    found[other] += 1
    return found


def in_order(table: dict[str, Counter[str]]) -> list[str]:
    """Return the subpackages such that each comes after what it imports from.

    :raises ValueError: if two of them import from each other.
    """
    order: list[str] = []
    while left := [room for room in table if room not in order]:
        ready = sorted(room for room in left if set(table[room]) <= set(order))
        if not ready:
            raise ValueError(f'These subpackages import from each other: {", ".join(left)}.')
        order += ready
    return order


def draw(path: Path) -> None:
    """Write the picture: a row for each subpackage, with the number of imports from each of the others."""
    table = {file.parent.name: imports(file.parent.name) for file in sorted(PACKAGE.glob('*/__init__.py'))}
    rooms = in_order(table)
    mpl.rcParams |= {'svg.hashsalt': 'rooms', 'font.size': 9, 'svg.fonttype': 'none'}
    figure, axes = plt.subplots(figsize=(8, 7.6), layout='constrained')
    largest = max(max(counts.values(), default=1) for counts in table.values())
    for row, room in enumerate(rooms):
        for column, other in enumerate(rooms[:row]):
            axes.add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor='#f4f4f2', edgecolor='white'))
            if number := table[room][other]:
                shade = 0.25 + 0.75 * number / largest
                axes.scatter(column, row, s=190, marker='s', color='#1f5a99', alpha=shade, linewidths=0)
                colour = 'white' if shade > 0.55 else 'black'
                axes.text(column, row, str(number), ha='center', va='center', fontsize=7, color=colour)
    axes.set(xlim=(-0.6, len(rooms) - 1.4), ylim=(len(rooms) - 0.4, 0.4), aspect='equal')
    axes.set_yticks(range(1, len(rooms)), rooms[1:])
    axes.set_xticks(range(len(rooms) - 1), rooms[:-1], rotation=90)
    axes.xaxis.tick_bottom()
    axes.tick_params(length=0)
    axes.set(xlabel='imports from', ylabel='subpackage')
    axes.spines[:].set_visible(False)
    figure.savefig(path, metadata={'Date': None})


if __name__ == '__main__':
    draw(ROOT / 'docs' / 'rooms.svg')
