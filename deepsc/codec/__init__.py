"""What every codec has: its base class and config, a device, published weights to start from."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
