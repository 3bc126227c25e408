"""Accuracy maps f(k, SNR): task accuracy over the channel divided by local accuracy, measured.

`AccuracyMap` is the type for text and images, `BimodalMap` for both together; `load_map` reads either,
`build_map` measures one with trained codecs, and `write_report` makes a page of it. Importing this package,
or reading a map, loads neither torch nor transformers.
"""

from pathlib import Path

import lazy_loader as lazy

NEIGHBOURS = Path(__file__).parents[1] / "data" / "neighbours.py"
exec(NEIGHBOURS.read_text("utf-8"), {"__file__": NEIGHBOURS})  # `data` may be somebody else's
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
