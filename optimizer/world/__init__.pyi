from .config import CSI, MODALITIES, EpisodeConfig, Inputs, SystemConfig
from .environment import OffloadingEnvironment
from .gym import CentralOffloading, ParallelOffloading
from .inputs import Loaded, load
from .physics import Actions, Outcome, State, execute
from .tasks import Tasks, Workload, make_tasks, workload
from .view import View

__all__ = [
    "CSI",
    "MODALITIES",
    "Actions",
    "CentralOffloading",
    "EpisodeConfig",
    "Inputs",
    "Loaded",
    "OffloadingEnvironment",
    "Outcome",
    "ParallelOffloading",
    "State",
    "SystemConfig",
    "Tasks",
    "View",
    "Workload",
    "execute",
    "load",
    "make_tasks",
    "workload",
]
