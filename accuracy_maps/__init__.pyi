from .bimodal import BimodalMap, load_map
from .envelope import monotone_envelope
from .map import AccuracyMap
from .show.compare import thresholds
from .show.mat import save_mat
from .show.plot import plot_bimodal, plot_map
from .show.report import write_report
from .show.table import format_map
from .sweep.build import build_map
from .sweep.config import MapConfig
from .sweep.from_scratch import Family, build_from_scratch
from .version import __version__

__all__ = [
    "AccuracyMap",
    "BimodalMap",
    "Family",
    "MapConfig",
    "__version__",
    "build_from_scratch",
    "build_map",
    "format_map",
    "load_map",
    "monotone_envelope",
    "plot_bimodal",
    "plot_map",
    "save_mat",
    "thresholds",
    "write_report",
]  # fmt: skip
