"""Latency and energy of the real model on this device, and so the effective capacity c of eq. (3)."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
