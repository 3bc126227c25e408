from .latency import Latency as Latency
from .latency import LatencyConfig as LatencyConfig
from .latency import Timing as Timing
from .latency import time_workloads as time_workloads
