from .compare import snr_at, thresholds
from .mat import save_mat
from .plot import plot_bimodal, plot_map
from .report import write_report
from .table import format_map

__all__ = ["format_map", "plot_bimodal", "plot_map", "save_mat", "snr_at", "thresholds", "write_report"]
