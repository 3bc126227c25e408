"""The digital baseline: source code, channel code, and then the local model.

It has the channel uses that the codec would have, S k of them. Text is coded by the shortest of several
lossless codes (`TextSource`), an image as the largest of its WebP versions that the channel can carry
(`image_versions`). The channel code (`channel_code`) is an ideal one that achieves capacity, the best of its
length by the normal approximation, or a real one: LDPC-coded QAM. What does not arrive is an empty sentence,
or a grey image.
"""

from deepsc.digital.baseline import Digital
from deepsc.digital.channel_code import ChannelCode, channel_code
from deepsc.digital.images import image_versions
from deepsc.digital.text import TextSource, code_names

__all__ = [
    "ChannelCode",
    "Digital",
    "TextSource",
    "channel_code",
    "code_names",
    "image_versions",
]
