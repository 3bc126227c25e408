"""Entry points of the five commands, in the package whose name nobody else's file has.

A `data.py` in the way of `data` is so named in one line.
"""

from data.terminal.start import build_accuracy_map as build_accuracy_map
from data.terminal.start import optimize as optimize
from data.terminal.start import profile_flops as profile_flops
from data.terminal.start import train_deepsc as train_deepsc
from data.terminal.start import transmit as transmit
