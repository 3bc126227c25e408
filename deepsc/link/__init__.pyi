from .channel import AWGN, Channel, Rayleigh, Rician, channel_names
from .jsc import JSCDecoder, JSCEncoder
from .transmission import Link, link_at, transmit

__all__ = [
    "AWGN",
    "Channel",
    "JSCDecoder",
    "JSCEncoder",
    "Link",
    "Rayleigh",
    "Rician",
    "channel_names",
    "link_at",
    "transmit",
]
