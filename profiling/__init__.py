"""FLOPs of the semantic codecs, and of any model: Appendix A as printed and corrected, and measured.

Importing this package, or reading a FLOPs file, loads nothing heavy. `profiling.profile` measures, and loads
torch and transformers: `profile_codec`, and `profile_model` for any module.
The closed forms are `text_parts`, `image_parts` and `vqa_parts` in `profiling.closed`.
"""

from profiling.flops_file import FlopsFile
from profiling.units import Flops, Macs

__all__ = ["Flops", "FlopsFile", "Macs"]
