"""The version of the toolkit that is installed."""

from importlib import metadata


def _installed() -> str:
    try:
        return metadata.version("deepsc-toolkit")
    except metadata.PackageNotFoundError:  # a checkout that nobody installed
        return "unknown"


__version__ = _installed()
"""Of the toolkit that is installed; "unknown" in a checkout that nobody installed."""
