from .config import (
    ExportConfig,
    FiguresConfig,
    ParetoConfig,
    PlanConfig,
    ReportConfig,
    TrainConfig,
    WorldSettings,
)
from .evaluate import Interval, Performance, play, summarise
from .export import export_actor
from .plan import Choice, PlanResult
from .report import write_report
from .results import format_table, read_results
from .train import TrainResult

__all__ = [
    "Choice",
    "ExportConfig",
    "FiguresConfig",
    "Interval",
    "ParetoConfig",
    "Performance",
    "PlanConfig",
    "PlanResult",
    "ReportConfig",
    "TrainConfig",
    "TrainResult",
    "WorldSettings",
    "export_actor",
    "format_table",
    "play",
    "read_results",
    "summarise",
    "write_report",
]
