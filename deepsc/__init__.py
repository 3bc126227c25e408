"""Semantic codecs over noisy channels: joint source-channel coding, training, evaluation, checkpoints.

deepsc.load("text-multi30k-en-de-medium").transmit(["Two dogs run."], k=12, snr_db=6).texts
deepsc.train_codec(deepsc.TextRunConfig(corpus=..., training=..., output="runs/codec"))
"""

from pathlib import Path

import lazy_loader as lazy

NEIGHBOURS = Path(__file__).parents[1] / "data" / "neighbours.py"
exec(NEIGHBOURS.read_text("utf-8"), {"__file__": NEIGHBOURS})  # `data` may be somebody else's
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
