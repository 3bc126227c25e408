"""FLOPs of the semantic codecs, and of any model: Appendix A as printed and corrected, and measured.

Importing this package, or reading a FLOPs file, loads neither torch nor transformers. `profiling.profile`
measures, and loads both: `profile_text`, `profile_image`, `profile_vqa`, and `profile_model` for any module.
"""

from profiling.decoding import Decoding
from profiling.flops_file import FlopsFile
from profiling.image import image_parts
from profiling.parts import Part, Place, Slip, Split, split
from profiling.text import text_parts
from profiling.units import Flops, Macs
from profiling.vqa import vqa_parts

__all__ = [
    "Decoding",
    "Flops",
    "FlopsFile",
    "Macs",
    "Part",
    "Place",
    "Slip",
    "Split",
    "image_parts",
    "split",
    "text_parts",
    "vqa_parts",
]
