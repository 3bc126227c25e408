from .atomic import atomic_path, write_text
from .documents import read_document, read_json, write_json
from .errors import ToolkitError, named, parsing
from .lock import LOCK_NAME, locked
from .paths import exists, is_file, is_folder, require_file
from .printable import csv_text, one_line, plot_text
from .provenance import git_commit, package_versions, sha256_of
from .record import Record
from .runs import Identity
from .schema import conform, from_json, numbers, typed
from .tensors import read_tensors, require_finite, require_head, write_tensors

__all__ = [
    "LOCK_NAME",
    "Identity",
    "Record",
    "ToolkitError",
    "atomic_path",
    "conform",
    "csv_text",
    "exists",
    "from_json",
    "git_commit",
    "is_file",
    "is_folder",
    "locked",
    "named",
    "numbers",
    "one_line",
    "package_versions",
    "parsing",
    "plot_text",
    "read_document",
    "read_json",
    "read_tensors",
    "require_file",
    "require_finite",
    "require_head",
    "sha256_of",
    "typed",
    "write_json",
    "write_tensors",
    "write_text",
]
