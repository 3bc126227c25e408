"""Training of any codec: the run and its folder, the loop, links, processes, workers."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
