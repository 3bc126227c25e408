"""The channel of every UE: where it stands, g of eq. (1) and |h|^2, which no policy has a hand in.

`Channels` draws them for many episodes at once; `GainTable` holds gains or ways of a file.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
