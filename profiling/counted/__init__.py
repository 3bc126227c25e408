"""FLOPs by running a model: torch's operators by formula, other tools beside, what separates them."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
