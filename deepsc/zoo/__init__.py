"""Codecs that ship with the toolkit, a folder each, and how one is found by its name."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
