"""The channel codes of the digital baseline, by name."""

from __future__ import annotations

from data.files.errors import ToolkitError
from data.settings import named
from deepsc.codec.config import CHANNEL_CODES
from deepsc.digital.block_codes import Capacity, ChannelCode, Finite
from deepsc.digital.ldpc import LDPC

_CODES: dict[str, type[ChannelCode]] = {code.name: code for code in (Capacity, Finite, LDPC)}


def channel_code(name: str) -> ChannelCode:
    """A channel code by its name.

    Raises:
        ToolkitError: if there is none of this name, or Sionna is missing for "ldpc".
    """
    if name not in _CODES:
        raise ToolkitError(f"{named('code')}: {name!r} given, allowed: {', '.join(CHANNEL_CODES)}")
    return _CODES[name]()
