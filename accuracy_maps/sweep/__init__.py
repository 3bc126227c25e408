"""Measuring a map: open the models, measure each cell here or on a cluster, bootstrap; resume a kill."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
