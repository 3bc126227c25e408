from .loop import train
from .processes import Processes
from .run import train_codec
from .timing import time_steps

__all__ = [
    "Processes",
    "time_steps",
    "train",
    "train_codec",
]
