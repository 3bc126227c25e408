from .draws import Channels
from .gain_table import GainTable, read_gains
from .pathloss import draw_gain, draw_positions

__all__ = ["Channels", "GainTable", "draw_gain", "draw_positions", "read_gains"]
