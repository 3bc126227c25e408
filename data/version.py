"""The version of the toolkit that is installed."""

from importlib import metadata

try:
    __version__ = metadata.version("deepsc-toolkit")
except metadata.PackageNotFoundError:  # a checkout that nobody installed
    __version__ = "unknown"
