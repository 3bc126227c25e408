from .captions import caption_pairs
from .parallel import Pair, ParallelCorpus, load_parallel, split_by_hash
from .tokenizer import JointBPE, OpusMTTokenizer, TextTokenizer, encode_within, load_tokenizer

__all__ = [
    "JointBPE",
    "OpusMTTokenizer",
    "Pair",
    "ParallelCorpus",
    "TextTokenizer",
    "caption_pairs",
    "encode_within",
    "load_parallel",
    "load_tokenizer",
    "split_by_hash",
]
