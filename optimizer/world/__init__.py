"""The world that policies act in: Table I, tasks of maps and FLOPs files, channels, physics, environment."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
