"""One self-contained HTML page from a template: what the report subcommands share.

Style, scripts and data are in the page. Its content security policy allows no connection and no script but
its own, so that it opens offline and a name in a result file, however written, stays text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from data.files.atomic import write_text
from data.files.errors import ToolkitError, named

TEMPLATES = Path(__file__).parent / "templates"


def check_html(output: str | os.PathLike[str]) -> Path:
    """The path of a page.

    Raises:
        ToolkitError: if its name does not end in .html: another result file could be overwritten.
    """
    path = Path(output)
    if path.suffix != ".html":
        raise ToolkitError(f"{named('output')}: '{path}' given, a name that ends in .html is allowed")
    return path


def write_page(
    path: str | os.PathLike[str],
    *,
    templates: Path,
    scripts: Sequence[str],
    data: Mapping[str, Any],
    **context: Any,
) -> None:
    """Fill `report.html` of a folder and write it, atomically. The same input gives the same bytes.

    Args:
        path: where.
        templates: folder of the page's own template and scripts; it extends this package's `page.html`.
        scripts: names of its scripts, which run after `page.js` and share one scope.
        data: what the scripts read; finite numbers only.
        context: what the template reads, escaped.
    """
    folders = [templates, TEMPLATES]
    environment = Environment(
        loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    # tojson escapes <, >, & and ', so that no string in the data can end its element
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    files = [TEMPLATES / "page.js", *(templates / name for name in scripts)]
    script = "\n" + "\n".join(file.read_text(encoding="utf-8") for file in files)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = environment.get_template("report.html").render(
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        policy=Markup(f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"),
        data=data,
        **context,
    )
    write_text(path, text)


def provenance_rows(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A result's provenance as text, by name, whatever it holds.

    Returns:
        Name and text; a text of several lines is to be shown as it is.
    """
    names = ("command", "created", "seed", "git_commit", "machine", "packages", "data_sha256", "config")
    ordered = [name for name in names if name in provenance] + [n for n in provenance if n not in names]
    rows = []
    for name in ordered:
        value = provenance[name]
        if name == "command" and isinstance(value, list):
            text = shlex.join(str(part) for part in value)
        elif name in ("packages", "data_sha256") and isinstance(value, dict):
            text = "\n".join(f"{key}  {inner}" for key, inner in value.items())
        elif isinstance(value, dict | list):
            text = json.dumps(value, indent=1, ensure_ascii=False)
        else:
            text = "none" if value is None else str(value)
        rows.append((name.replace("_", " "), text))
    return rows
