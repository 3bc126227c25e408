from .build import build_map
from .config import MapConfig
from .engine import Engine, LocalEngine
from .engine_ray import RayEngine
from .from_scratch import Family, build_from_scratch
from .measure import Sweep

__all__ = [
    "Engine", "Family", "LocalEngine", "MapConfig", "RayEngine", "Sweep", "build_from_scratch", "build_map",
]  # fmt: skip
