from .baseline import Digital
from .block_codes import ChannelCode
from .codes import channel_code
from .images import ImageVersions, image_versions
from .text import TextSource, code_names

__all__ = [
    "ChannelCode",
    "Digital",
    "ImageVersions",
    "TextSource",
    "channel_code",
    "code_names",
    "image_versions",
]
