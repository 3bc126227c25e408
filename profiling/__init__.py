"""FLOPs of the semantic codecs: Appendix A as printed and corrected, and measured.

Importing this package, or reading a FLOPs file, loads neither torch nor transformers. `profiling.report`
measures, and loads both.
"""



from profiling.flops_file import FlopsFile



__all__ = ["FlopsFile"]
