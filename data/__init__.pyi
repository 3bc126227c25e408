from .batching import LazyBatches, token_batches
from .download import cache_dir, fetch
from .files.errors import ToolkitError
from .images.load import load_images
from .images.read import read_image
from .images.sets import ImageSet, ImageSplit
from .questions.load import load_vqa
from .questions.sets import Question, VQASet, VQASplit
from .splits import SPLITS, hold_out
from .text.parallel import ParallelCorpus, load_parallel, split_by_hash
from .text.tokenizer import JointBPE, OpusMTTokenizer, TextTokenizer, load_tokenizer
from .version import __version__

__all__ = [
    "SPLITS",
    "ImageSet",
    "ImageSplit",
    "JointBPE",
    "LazyBatches",
    "OpusMTTokenizer",
    "ParallelCorpus",
    "Question",
    "TextTokenizer",
    "ToolkitError",
    "VQASet",
    "VQASplit",
    "__version__",
    "cache_dir",
    "fetch",
    "hold_out",
    "load_images",
    "load_parallel",
    "load_tokenizer",
    "load_vqa",
    "read_image",
    "split_by_hash",
    "token_batches",
]
