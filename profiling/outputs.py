"""Files that profile-flops writes: whether it may, found out before anything is counted."""

from __future__ import annotations

import re
from pathlib import Path

from data.files.atomic import require_writable
from data.files.errors import ToolkitError
from data.files.paths import exists
from data.settings import named
from profiling.config import ProfileConfig
from profiling.device_file import DeviceFile
from profiling.plot import MARK, SUFFIXES

_HEADS = {
    ".md": rb"\*\*[^\n]+\*\*\n\n\| ",
    ".tex": rb"\\begin{table}\n\\caption{",
    ".csv": rb"part,place,module,corrected_flops,",
}
"""How tables begin."""


def prepare_outputs(config: ProfileConfig, output: str | None) -> None:
    """Check every file that will be written; whether `output` is of the same settings is seen elsewhere.

    Args:
        config: names tables and plot.
        output: the FLOPs file; None where there is none.

    Raises:
        ToolkitError: if two are the same, one cannot be written, or a table or plot would replace a file that
            profile-flops did not make.
    """
    device = None if config.device_file is None else config.device_file.path
    paths = [
        ("output", output), ("device_file.path", device), *(("table", path) for path in config.table),
        ("plot", config.plot),
    ]  # fmt: skip
    flags: dict[Path, str] = {}
    for flag, path in paths:
        if path is None:
            continue
        require_writable(path, flag)
        place = Path(path).resolve()
        if place in flags:
            raise ToolkitError(
                f"{named(flag)}: {path} given, {named(flags[place])} writes that file; give another name"
            )
        flags[place] = flag
        if flag != "output" and not config.overwrite and exists(path) and not _is_ours(Path(path)):
            raise ToolkitError(
                f"{named(flag)}: {path} is there, and not made by profile-flops; give another name, or "
                f"{named('overwrite')} to replace it"
            )


def _is_ours(path: Path) -> bool:
    """Whether a table, plot or device file could be of an earlier call."""
    if path.suffix not in (*_HEADS, *SUFFIXES):
        try:
            return bool(DeviceFile.load(path))
        except ToolkitError:
            return False
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ToolkitError(f"{path}: {error.strerror or error}") from error
    if path.suffix in _HEADS:
        return not content or re.match(_HEADS[path.suffix], content) is not None
    return not content or MARK.encode() in content
