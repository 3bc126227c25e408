"""Devices that ship with the toolkit, UEs in `ue/` and servers in `server/`, and how one is found by name."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
