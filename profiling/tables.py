"""Tables as text for the terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data.files.atomic import write_text
from data.files.errors import ToolkitError
from data.files.printable import csv_text, one_line
from data.settings import named
from data.terminal.table import align

SUFFIXES = (".md", ".tex", ".csv")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells under a title; the first column is left-aligned, the others are right-aligned."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        # A model's name may hold line breaks and terminal escapes, which would break every format.
        object.__setattr__(self, "title", one_line(self.title))
        object.__setattr__(self, "columns", tuple(map(one_line, self.columns)))
        object.__setattr__(self, "rows", tuple(tuple(map(one_line, row)) for row in self.rows))

    def text(self) -> str:
        """For a terminal."""
        return f"{self.title}\n{align((self.columns, *self.rows))}\n"

    def markdown(self) -> str:
        """GitHub's tables."""
        rule = "|---|" + "---:|" * (len(self.columns) - 1)
        head, *rows = (
            "| " + " | ".join(map(_escape_markdown, row)) + " |" for row in (self.columns, *self.rows)
        )
        return "\n".join([f"**{_escape_markdown(self.title)}**", "", head, rule, *rows]) + "\n"

    def latex(self) -> str:
        """A `table` without packages."""
        alignment = "l" + "r" * (len(self.columns) - 1)
        head, *rows = (
            " & ".join(_escape(cell) for cell in row) + r" \\" for row in (self.columns, *self.rows)
        )
        return "\n".join([
            r"\begin{table}", rf"\caption{{{_escape(self.title)}}}", rf"\begin{{tabular}}{{{alignment}}}",
            r"\hline", head, r"\hline", *rows, r"\hline", r"\end{tabular}", r"\end{table}", "",
        ])  # fmt: skip

    def csv(self) -> str:
        """Comma-separated, with a head."""
        return csv_text((self.columns, *self.rows))


def require_suffix(path: str, suffixes: tuple[str, ...], *, flag: str) -> None:
    """Refuse a file of unknown format.

    Raises:
        ToolkitError: naming the allowed suffixes.
    """
    if Path(path).suffix not in suffixes:
        raise ToolkitError(
            f"{named(flag)}: {path!r} given, a name ending in {', '.join(suffixes)} is allowed"
        )


def write_tables(path: str, tables: Sequence[Table], counts: Table) -> None:
    """Write all tables as Markdown or LaTeX, or `counts` alone as CSV, by the suffix of `path`.

    Raises:
        ToolkitError: on another suffix, or if writing fails.
    """
    require_suffix(path, SUFFIXES, flag="table")
    suffix = Path(path).suffix
    if suffix == ".csv":
        write_text(path, counts.csv())
    else:
        write_text(
            path, "\n".join(table.markdown() if suffix == ".md" else table.latex() for table in tables)
        )


def _escape_markdown(cell: str) -> str:
    return cell.replace("|", r"\|").replace("<", "&lt;")


def _escape(cell: str) -> str:
    return "".join(_LATEX.get(character, character) for character in cell)
