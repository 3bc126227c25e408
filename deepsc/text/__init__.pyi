from .config import CorpusConfig, TextCodecConfig, TextRunConfig
from .evaluate import TextEvaluator
from .model import TextBatch, TextCodec

__all__ = [
    "CorpusConfig",
    "TextBatch",
    "TextCodec",
    "TextCodecConfig",
    "TextEvaluator",
    "TextRunConfig",
]
