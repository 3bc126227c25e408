"""The physics of one step: eqs. (1)-(10), (11b), (11g), (11h), (12) and (28) on batched tensors.

`execute` is one step of all UEs. It is put together from `allocate_bandwidth`, `snr_db`, `map_accuracy`,
`local_effort`, `offloading_effort` and `standard_cost`, which the bound and the look-ups call on their own;
nobody has formulas of their own. Shapes: `(..., ues)`, any number of leading axes; the last axis is what
eqs. (5), (6) and (12) sum over. Everything is computed in float64: numbers of another type are converted
first, since f^3 exceeds what int64 and float16 hold.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
