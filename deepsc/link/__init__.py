"""What lies between the halves of a codec: channels, joint source-channel (JSC) codecs, a transmission."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
