from .config import ImageCodecConfig, ImageRunConfig, ImageSetConfig
from .evaluate import ImageEvaluator, RetrievalEvaluator
from .model import ImageBatch, ImageCodec

__all__ = [
    "ImageBatch",
    "ImageCodec",
    "ImageCodecConfig",
    "ImageEvaluator",
    "ImageRunConfig",
    "ImageSetConfig",
    "RetrievalEvaluator",
]
