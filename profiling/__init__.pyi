from .flops_file import FlopsFile
from .units import Flops, Macs
from .version import __version__

__all__ = ["Flops", "FlopsFile", "Macs", "__version__"]
