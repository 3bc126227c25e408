from .episode import episode_bound
from .grid import GRIDS, Grid
from .states import Step
from .step import Bracket, bracket
from .upper import cell_upper, local_upper

__all__ = [
    "GRIDS",
    "Bracket",
    "Grid",
    "Step",
    "bracket",
    "cell_upper",
    "episode_bound",
    "local_upper",
]
