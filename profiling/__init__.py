"""FLOPs of the semantic codecs, and of any model: Appendix A as printed and corrected, and measured.

Importing this package, or reading a FLOPs file, loads nothing heavy. `profile_codec`, and `profile_model` for
any module, load torch and transformers when they are first asked for.
"""

from pathlib import Path

import lazy_loader as lazy

NEIGHBOURS = Path(__file__).parents[1] / "data" / "neighbours.py"
exec(NEIGHBOURS.read_text("utf-8"), {"__file__": NEIGHBOURS})  # `data` may be somebody else's
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
