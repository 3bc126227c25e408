from .closed import Part, Split, image_parts, split, text_parts, vqa_parts
from .device_file import DeviceFile, Quantity
from .flops_file import FlopsFile
from .profile import CodecProfile, ModelProfile, profile_codec, profile_model, time_codec
from .timed import LatencyConfig
from .units import Flops, Macs
from .version import __version__

__all__ = [
    "CodecProfile",
    "DeviceFile",
    "Flops",
    "FlopsFile",
    "LatencyConfig",
    "Macs",
    "ModelProfile",
    "Part",
    "Quantity",
    "Split",
    "__version__",
    "image_parts",
    "profile_codec",
    "profile_model",
    "split",
    "text_parts",
    "time_codec",
    "vqa_parts",
]
