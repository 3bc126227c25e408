"""Accuracy maps f(k, SNR): task accuracy over the channel divided by local accuracy, measured.

`AccuracyMap` is the type for text and images, `BimodalMap` for both together; `load_map` reads either and
`accuracy_maps.sweep.build` makes one from checkpoints. Importing this package, or reading a map, loads
neither
torch nor transformers.
"""

from accuracy_maps.bimodal import BimodalMap, load_map
from accuracy_maps.map import AccuracyMap, monotone_envelope

__all__ = ["AccuracyMap", "BimodalMap", "load_map", "monotone_envelope"]
