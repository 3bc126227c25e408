from .config import FiguresConfig, ParetoConfig, PlanConfig, ReportConfig, TrainConfig, WorldSettings
from .evaluate import Interval, Performance, play, summarise
from .plan import Choice, PlanResult
from .report import write_report
from .results import format_table, read_results
from .train import TrainResult

__all__ = [
    "Choice",
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
    "format_table",
    "play",
    "read_results",
    "summarise",
    "write_report",
]
