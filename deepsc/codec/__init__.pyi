from .base import Batch, Codec, TensorBatch
from .config import CodecConfig

__all__ = [
    "Batch",
    "Codec",
    "CodecConfig",
    "TensorBatch",
]
