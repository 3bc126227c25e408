from .config import VQACodecConfig, VQARunConfig, VQASetConfig
from .evaluate import VQAEvaluator
from .model import VQABatch, VQACodec

__all__ = [
    "VQABatch",
    "VQACodec",
    "VQACodecConfig",
    "VQAEvaluator",
    "VQARunConfig",
    "VQASetConfig",
]
