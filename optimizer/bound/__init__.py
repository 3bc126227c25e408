"""The certified upper bound on what any policy can earn, of a step and of whole episodes (docs/bound.md)."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
