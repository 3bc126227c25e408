"""docs/figures/house.svg: the packages and their rooms, drawn from the imports.

    cd tests && python -m support.house_picture

A room stands to the right of all that it imports. An arrow that a longer way implies is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from support.house import PACKAGES, ROOT, Graph, module_imports, modules, reached, room_imports

PICTURE = ROOT / "docs" / "figures" / "house.svg"
WIDTH, HEIGHT, STEP_X, STEP_Y = 108, 34, 138, 46
"""Of a room, and from one to the next, in pixels."""
LEFT = 110
"""Where packages begin; the arrows between them have their place before it."""
HEAD = """<style>
text { font: 13px sans-serif; fill: #1a2340 } .package { font-weight: bold; font-size: 15px }
.floor { fill: #f3f5fb } .room { fill: #fff; stroke: #5c6bc0 }
path { fill: none; stroke: #8b95c9; marker-end: url(#tip) } .between { stroke: #1a2340; stroke-width: 1.5 }
#tip path { fill: #8b95c9; stroke: none; marker-end: none }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0,0 L8,4 L0,8z"/></marker></defs>"""


def reduced(graph: Graph) -> Graph:
    """A graph without the edges that longer ways imply."""
    ways = reached(graph)
    return {
        name: frozenset(
            target for target in targets if not any(target in ways[other] for other in targets - {target})
        )
        for name, targets in graph.items()
    }


def columns(graph: Graph) -> list[list[str]]:
    """Rooms by the longest way from what imports nothing."""
    placed: dict[str, int] = {}

    def place(name: str) -> int:
        if name not in placed:
            placed[name] = 0  # where a circle would end
            placed[name] = 1 + max((place(target) for target in graph[name]), default=-1)
        return placed[name]

    last = max(place(name) for name in graph)
    return [sorted(name for name in graph if placed[name] == at) for at in range(last + 1)]


def package_imports() -> Graph:
    """The packages that each package imports."""
    return {
        package: frozenset(
            target.split(".")[0]
            for name in modules()
            if name.split(".")[0] == package
            for target in module_imports()[name]
        )
        - {package}
        for package in PACKAGES
    }


def drawn_package(package: str, top: int) -> tuple[list[str], int]:
    """SVG of a package that starts at `top`, and its height."""
    graph = room_imports(package)
    table = columns(graph)
    rows = max(map(len, table))
    places = {
        name: (LEFT + 12 + x * STEP_X, top + 32 + int((y + (rows - len(column)) / 2) * STEP_Y))
        for x, column in enumerate(table)
        for y, name in enumerate(column)
    }
    height = 32 + rows * STEP_Y
    lines = [
        f'<rect class="floor" x="{LEFT}" y="{top}" width="{len(table) * STEP_X}" height="{height}" rx="8"/>',
        f'<text class="package" x="{LEFT + 12}" y="{top + 20}">{package}/</text>',
    ]
    for name, targets in sorted(reduced(graph).items()):
        for target in sorted(targets):
            x1, y1 = places[name][0], places[name][1] + HEIGHT // 2
            x2, y2 = places[target][0] + WIDTH + 4, places[target][1] + HEIGHT // 2
            lines.append(f'<path d="M{x1},{y1} C{x1 - 20},{y1} {x2 + 20},{y2} {x2},{y2}"/>')
    for name, (x, y) in places.items():
        lines += [
            f'<rect class="room" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>',
            f'<text x="{x + 8}" y="{y + 21}">{name.rpartition(".")[2]}</text>',
        ]
    return lines, height


def svg() -> str:
    """The picture, the same for the same imports."""
    lines: list[str] = []
    tops: dict[str, int] = {}
    end = 0
    for package in PACKAGES:
        tops[package] = end
        drawn, height = drawn_package(package, end)
        lines += drawn
        end += height + 14
    width = LEFT + max(len(columns(room_imports(package))) for package in PACKAGES) * STEP_X
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {end}" width="{width}">'
    paper = f'<rect width="{width}" height="{end}" fill="#fff"/>'
    return "\n".join([start, HEAD, paper, *lines, *between_packages(tops), "</svg>\n"])


def between_packages(tops: dict[str, int]) -> Iterator[str]:
    """Arrows on the left, from each package to those it imports."""
    arrows = [(name, target) for name, targets in package_imports().items() for target in sorted(targets)]
    for at, (name, target) in enumerate(arrows):
        start, stop = tops[name] + 12, tops[target] + 20 + 4 * at
        x = LEFT - 16 - 11 * at
        yield f'<path class="between" d="M{LEFT},{start} H{x} V{stop} H{LEFT - 2}"/>'


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
