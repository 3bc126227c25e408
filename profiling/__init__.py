"""FLOPs of the semantic codecs: Appendix A as printed and corrected, and measured.

Importing this package, or reading a FLOPs file, loads neither torch nor transformers. `profiling.report`
measures, and loads both.
"""

from profiling.appendix_a import as_printed
from profiling.closed_form import corrected
from profiling.flops_file import FlopsFile
from profiling.parts import Decoding, PartFlops
from profiling.slips import Slip, slips

__all__ = ["Decoding", "FlopsFile", "PartFlops", "Slip", "as_printed", "corrected", "slips"]
