"""Semantic codecs over noisy channels: joint source-channel coding, training, evaluation, checkpoints."""
