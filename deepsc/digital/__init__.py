"""The digital baseline: source code, channel code, and then the local model.

It has the channel uses that the codec would have, S k of them. Text is coded by the shortest of several
lossless codes (`TextSource`), an image as the closest of its WebP versions that the channel can carry
(`image_versions`). The channel code (`channel_code`) is an ideal one that achieves capacity, the best of its
length by the normal approximation, or a real one: LDPC-coded QAM. What does not arrive is an empty sentence,
or a grey image.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
