"""Corpora, image sets and questions: found or downloaded with checksum, split, tokenised; no models.

Also what every command stands on: files, settings, the terminal, pages.
"""

import runpy
from pathlib import Path

import lazy_loader as lazy

runpy.run_path(str(Path(__file__).parents[1] / "data" / "neighbours.py"))  # `data` may be somebody else's
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
