"""Corpora, image sets and questions: found or downloaded with checksum, split, tokenised; no models.

Also what every command stands on: files, settings, the terminal, pages.
"""

from pathlib import Path

import lazy_loader as lazy

NEIGHBOURS = Path(__file__).parents[1] / "data" / "neighbours.py"
exec(NEIGHBOURS.read_text("utf-8"), {"__file__": NEIGHBOURS})  # `data` may be somebody else's
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
