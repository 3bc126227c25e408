from .bimodal import BimodalMap, load_map
from .map import AccuracyMap, monotone_envelope
from .version import __version__

__all__ = ["AccuracyMap", "BimodalMap", "__version__", "load_map", "monotone_envelope"]
