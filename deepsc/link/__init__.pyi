from .channel import AWGN, Channel, Rayleigh, Rician, channel_names
from .jsc import JSCDecoder, JSCEncoder
from .token_code import TokenDecoder, TokenEncoder
from .transmission import Link, Received, carry, link_at, transmit

__all__ = [
    "AWGN",
    "Channel",
    "JSCDecoder",
    "JSCEncoder",
    "Link",
    "Rayleigh",
    "Received",
    "Rician",
    "TokenDecoder",
    "TokenEncoder",
    "carry",
    "channel_names",
    "link_at",
    "transmit",
]
