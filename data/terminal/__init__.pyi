from .command import Parser, run_command
from .progress import Progress, announced, duration
from .table import align

__all__ = ["Parser", "Progress", "align", "announced", "duration", "run_command"]
