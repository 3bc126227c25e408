"""FLOPs by formula: the paper's Appendix A as printed, and the corrected count of each part of a codec."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
