"""A map to look at: table, plot, page, MATLAB; and maps compared."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
