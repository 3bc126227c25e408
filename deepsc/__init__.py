"""Semantic codecs over noisy channels: joint source-channel coding, training, evaluation, checkpoints.

checkpoint = deepsc.load("runs/text-codec")
deepsc.train_codec(deepsc.TextRunConfig(corpus=..., training=..., output="runs/codec"))
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
