"""The version of the toolkit that is installed."""

from data.version import __version__ as __version__
