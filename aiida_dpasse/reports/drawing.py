"""Layered drawing of a small directed graph as SVG: boxes for phases, pills for their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from textwrap import shorten

from aiida_dpasse import quoting

FONT = 'Helvetica, Arial, DejaVu Sans, Liberation Sans, sans-serif'
TITLE, BODY = 14.0, 11.5
LINE = 16.0
PAD_X, PAD_Y = 16.0, 11.0
GAP_X, GAP_Y = 34.0, 40.0
MARGIN = 26.0
#: Largest number of characters in a line, and of lines below a title.
LONGEST, MOST = 64, 4
INK, SOFT, EDGE = '#262626', '#5c5c5c', '#9a9a9a'


@dataclass
class Item:
    """An element to draw: ``kind`` selects its appearance (see `FILLS`), ``lines`` are written below its title."""

    key: str
    title: str
    lines: list[str] = field(default_factory=list)
    kind: str = 'phase'


#: Fill and outline by kind; phases are boxes, everything else pills.
FILLS = {
    'phase': ('#ffffff', INK),
    'failed': ('#ffffff', '#D55E00'),
    'structure': ('#ececec', '#7a7a7a'),
    'frames': ('#d8e9f5', '#0072B2'),
    'potential': ('#d5efe6', '#009E73'),
    'result': ('#fbe9c6', '#E69F00'),
}


def limited(item: Item) -> Item:
    """Return the item with lines of at most `LONGEST` characters, and with at most `MOST` of them."""
    lines = [shorten(quoting.line(line), LONGEST, placeholder=' …') for line in item.lines]
    if len(lines) > MOST:
        lines = [*lines[: MOST - 1], f'and {len(lines) - MOST + 1} more']
    return replace(item, title=shorten(quoting.line(item.title), LONGEST, placeholder=' …'), lines=lines)


def _width(item: Item) -> float:
    # Mean advance width of a sans-serif letter, bold and regular, in units of the font size.
    return 2 * PAD_X + max([0.61 * TITLE * len(item.title), *(0.54 * BODY * len(line) for line in item.lines)])


def _height(item: Item) -> float:
    return 2 * PAD_Y + TITLE + LINE * len(item.lines)


def layers_of(keys: Sequence[str], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the layer of each key: below all its predecessors, and as close to its first use as possible.

    :param keys: keys of the items.
    :param edges: pairs of keys.
    :raises ValueError: if the edges form a cycle.
    """
    edges = list(edges)
    layer = dict.fromkeys(keys, 0)
    for _ in range(len(keys) + 1):
        moved = False
        for start, end in edges:
            if layer[end] <= layer[start]:
                layer[end], moved = layer[start] + 1, True
        if not moved:
            break
    else:
        raise ValueError('The graph to draw has a cycle.')
    for key in sorted(keys, key=lambda key: -layer[key]):
        below = [layer[end] for start, end in edges if start == key]
        if below:
            layer[key] = min(below) - 1
    return layer


def draw(items: Sequence[Item], edges: Sequence[tuple[str, str]], heading: str = '', footing: str = '') -> str:
    """Return the SVG of items in layers from top to bottom.

    :param items: elements to draw.
    :param edges: pairs of keys.
    :param heading: title above the graph.
    :param footing: text below the graph.
    :raises ValueError: if the edges form a cycle.
    """
    by_key = {item.key: limited(item) for item in items}
    layer = layers_of(list(by_key), edges)
    chains = _chains(edges, layer)
    rows = _order(by_key, layer, chains)
    widths = {name: _width(by_key[name]) if name in by_key else 10.0 for row in rows for name in row}
    x = _place(rows, chains, widths)
    heights = [max((_height(by_key[name]) for name in row if name in by_key), default=0.0) for row in rows]
    top = MARGIN + (30.0 if heading else 0.0)
    y = []
    for height in heights:
        y.append(top + height / 2)
        top += height + GAP_Y
    shift = MARGIN - min(x[name] - widths[name] / 2 for name in x)
    x = {name: value + shift for name, value in x.items()}
    width = max(x[name] + widths[name] / 2 for name in x) + MARGIN
    width = max(width, 2 * MARGIN + 0.6 * 17 * len(heading), 2 * MARGIN + 0.58 * BODY * len(footing))
    height = top - GAP_Y + MARGIN + (20.0 if footing else 0.0)
    parts = [_edge(chain, x, y, rows, by_key) for chain in chains]
    for index, row in enumerate(rows):
        parts += [_item(by_key[name], x[name], y[index], widths[name]) for name in row if name in by_key]
    if heading:
        parts.insert(0, _text(MARGIN, MARGIN + 6, heading, 17, INK, bold=True, anchor='start'))
    if footing:
        parts.append(_text(MARGIN, height - MARGIN / 2 - 2, footing, BODY, SOFT, anchor='start'))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="{FONT}">\n'
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0,0.6 L8,4 L0,7.4 z" fill="{EDGE}"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + '\n'.join(parts) + '\n</svg>\n'
    )


def _chains(edges: Iterable[tuple[str, str]], layer: Mapping[str, int]) -> list[list[str]]:
    """Add a position in every layer that an edge crosses, so that it runs beside the boxes and not through them."""
    return [
        [start, *(f'{start}>{end}#{row}' for row in range(layer[start] + 1, layer[end])), end] for start, end in edges
    ]


def _order(items: Mapping[str, Item], layer: Mapping[str, int], chains: Sequence[Sequence[str]]) -> list[list[str]]:
    """Order each layer by the mean position of its neighbours, which removes most crossings."""
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for key in items:
        rows[layer[key]].append(key)
    for chain in chains:
        for offset, name in enumerate(chain[1:-1], start=1):
            rows[layer[chain[0]] + offset].append(name)
    neighbours = _neighbours(chains)
    for sweep in range(12):
        order = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        step = -1 if sweep % 2 == 0 else 1
        for index in order:
            place = {name: i - len(rows[index + step]) / 2 for i, name in enumerate(rows[index + step])}
            current = {name: i - len(rows[index]) / 2 for i, name in enumerate(rows[index])}

            def mean(name: str, place: dict[str, float] = place, current: dict[str, float] = current) -> float:
                near = [place[other] for other in neighbours.get(name, ()) if other in place]
                return sum(near) / len(near) if near else current[name]

            rows[index].sort(key=mean)
    return rows


def _neighbours(chains: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for chain in chains:
        for one, two in pairwise(chain):
            found.setdefault(one, []).append(two)
            found.setdefault(two, []).append(one)
    return found


def _place(
    rows: Sequence[Sequence[str]], chains: Sequence[Sequence[str]], widths: Mapping[str, float]
) -> dict[str, float]:
    """Return the centre of each item, as close to its neighbours as its own row permits."""
    x: dict[str, float] = {}
    for row in rows:
        total = sum(widths[name] + GAP_X for name in row)
        edge = -total / 2
        for name in row:
            x[name] = edge + (widths[name] + GAP_X) / 2
            edge += widths[name] + GAP_X
    neighbours = _neighbours(chains)
    for _ in range(40):
        for row in rows:
            wish = [
                sum(x[other] for other in neighbours[name]) / len(neighbours[name]) if name in neighbours else x[name]
                for name in row
            ]
            # Separated from the left and from the right; the mean of both is still without overlap and favours neither
            # side.
            right, left = list(wish), list(wish)
            for i in range(1, len(row)):
                right[i] = max(wish[i], right[i - 1] + _apart(row[i - 1], row[i], widths))
            for i in range(len(row) - 2, -1, -1):
                left[i] = min(wish[i], left[i + 1] - _apart(row[i], row[i + 1], widths))
            for i, name in enumerate(row):
                x[name] = (right[i] + left[i]) / 2
    return x


def _apart(one: str, two: str, widths: Mapping[str, float]) -> float:
    return (widths[one] + widths[two]) / 2 + GAP_X


def _edge(
    chain: Sequence[str],
    x: Mapping[str, float],
    y: Sequence[float],
    rows: Sequence[Sequence[str]],
    items: Mapping[str, Item],
) -> str:
    level = {name: index for index, row in enumerate(rows) for name in row}
    points = []
    for name in chain:
        half = _height(items[name]) / 2 if name in items else 0.0
        centre = y[level[name]]
        if name == chain[0]:
            points.append((x[name], centre + half))
        elif name == chain[-1]:
            points.append((x[name], centre - half - 2))
        else:
            points.append((x[name], centre))
    path = f'M{points[0][0]:.1f},{points[0][1]:.1f}'
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = (y1 - y0) / 2
        path += f' C{x0:.1f},{y0 + bend:.1f} {x1:.1f},{y1 - bend:.1f} {x1:.1f},{y1:.1f}'
    return f'<path d="{path}" fill="none" stroke="{EDGE}" stroke-width="1.4" marker-end="url(#tip)"/>'


def _item(item: Item, x: float, y: float, width: float) -> str:
    fill, outline = FILLS[item.kind]
    height = _height(item)
    box = item.kind in ('phase', 'failed')
    corner, stroke = (4.0, 2.0) if box else (min(height / 2, 18.0), 1.3)
    parts = [
        f'<rect x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{corner:.1f}" fill="{fill}" stroke="{outline}" stroke-width="{stroke}"/>',
        _text(x, y - height / 2 + PAD_Y + TITLE - 2, item.title, TITLE, INK, bold=True),
    ]
    for index, line in enumerate(item.lines):
        parts.append(
            _text(x, y - height / 2 + PAD_Y + TITLE - 2 + LINE * (index + 1), line, BODY, SOFT if box else INK)
        )
    return '\n'.join(parts)


def _text(x: float, y: float, text: str, size: float, colour: str, bold: bool = False, anchor: str = 'middle') -> str:
    weight = ' font-weight="bold"' if bold else ''
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{weight}>'
        f'{quoting.xml(text)}</text>'
    )
