"""Semantic codecs over noisy channels: channels, joint source-channel coding, training, evaluation, checkpoints."""
