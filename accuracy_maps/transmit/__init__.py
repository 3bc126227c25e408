"""The command `transmit`: a sentence, image or question crosses the channel."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
