from .latency import Latency, LatencyConfig, Timing, time_workloads

__all__ = [
    "Latency",
    "LatencyConfig",
    "Timing",
    "time_workloads",
]
