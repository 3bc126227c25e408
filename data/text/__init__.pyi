from .captions import caption_pairs
from .parallel import Pair, ParallelCorpus, load_parallel, read_pairs, split_by_hash
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
    "read_pairs",
    "split_by_hash",
]
