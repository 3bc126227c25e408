"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from data.files.printable import one_line


def align(rows: Sequence[tuple[str, ...]], *, left: tuple[int, ...] = (0,)) -> str:
    """Columns of equal width: those in `left` (as indices, from the end where negative) to the left, the
    others to the right."""
    rows = [tuple(map(one_line, row)) for row in rows]
    columns = len(rows[0])
    widths = [max(len(row[i]) for row in rows) for i in range(columns)]
    to_left = {i % columns for i in left}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in to_left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
