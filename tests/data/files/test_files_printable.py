"""Names from files, made fit for plots and tables."""

import csv

import pytest
from matplotlib.figure import Figure

from data.files.printable import (
    csv_text,
    one_line,
    plot_text,
    printable,
)


def test_what_commands_a_terminal_is_shown() -> None:
    assert printable("für ☂ \u00a0€") == "für ☂ \u00a0€"
    assert printable("\x1b]0;x\x07 \x7f \x9b \u202e \ud800\n") == r"\x1b]0;x\x07 \x7f \x9b \u202e \ud800\n"
    assert one_line("  two\nlines\r\nand \u2028more") == "  two lines and  more"


@pytest.mark.parametrize("text", ["$", "a $\\frac{$ b", "$x^2$", "\\$ 5 $"])
def test_a_plot_reads_no_formula_in_a_name(text: str) -> None:
    figure = Figure()
    figure.suptitle(plot_text(text))
    figure.canvas.draw()


def test_no_cell_is_a_formula() -> None:
    cells = ["name", "=cmd()", "@SUM(A1)", "+x", "-2+3", "-6", "+1e3", "-", "", "a,b"]
    (read,) = csv.reader(csv_text([[*cells, -1.5, 3]]).splitlines())
    assert read == ["name", "'=cmd()", "'@SUM(A1)", "'+x", "'-2+3", "-6", "+1e3", "-", "", "a,b", "-1.5", "3"]
