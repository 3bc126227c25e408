"""Studies: train and test policies, draw the paper's figures and the front, plan, write a page."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
