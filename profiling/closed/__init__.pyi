from .decoding import Decoding
from .image import image_parts
from .parts import Part, Place, Slip, Split, split
from .text import text_parts
from .vqa import vqa_parts

__all__ = [
    "Decoding",
    "Part",
    "Place",
    "Slip",
    "Split",
    "image_parts",
    "split",
    "text_parts",
    "vqa_parts",
]
