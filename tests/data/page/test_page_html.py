"""The frame of reports: escaping, the policy against connections, provenance as text."""

from pathlib import Path

import pytest

from data.files.errors import ToolkitError
from data.page.html import check_html, provenance_rows, write_page


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "report.html").write_text(
        '{% extends "page.html" %}{% block content %}{{ word }}{% endblock %}'
    )
    (folder / "report.js").write_text("console.log(data);\n")
    return folder


def test_text_and_data_are_escaped_and_no_connection_is_allowed(templates: Path, tmp_path: Path) -> None:
    word = "</script><b> & \u2028"
    path = tmp_path / "page.html"
    write_page(path, templates=templates, scripts=["report.js"], data={"word": word}, word=word, title=word)
    page = path.read_text(encoding="utf-8")
    assert page.count("</script>") == 2
    assert "<b>" not in page
    assert r'{"word":"\u003c/script\u003e\u003cb\u003e \u0026 \u2028"}' in page
    assert "default-src 'none'" in page
    for loading in ("src=", "href=", "@import", 'http-equiv="refresh', "fetch(", "XMLHttpRequest"):
        assert loading not in page


def test_what_json_does_not_have_is_refused(templates: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_page(
            tmp_path / "page.html",
            templates=templates,
            scripts=[],
            data={"x": float("nan")},
            word="",
            title="",
        )
    assert not (tmp_path / "page.html").exists()


def test_only_a_page_is_written_over(tmp_path: Path) -> None:
    assert check_html(tmp_path / "a.html") == tmp_path / "a.html"
    with pytest.raises(ToolkitError, match=r"output: .*map.json' given, a name that ends in .html"):
        check_html(tmp_path / "map.json")


def test_provenance_is_told_whatever_it_holds() -> None:
    rows = provenance_rows(
        {
            "extra": [1, {"a": 2}],
            "seed": None,
            "command": ["run", "two words"],
            "data_sha256": {"f": "0a"},
            "packages": 3,
        }
    )
    assert [name for name, _ in rows] == ["command", "seed", "packages", "data sha256", "extra"]
    told = dict(rows)
    assert told["command"] == "run 'two words'"
    assert told["seed"] == "none"
    assert told["data sha256"] == "f  0a"
    assert told["packages"] == "3"
    assert '"a": 2' in told["extra"]
