"""How glibc, where there is one, treats memory that tensors free."""

from __future__ import annotations

import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""Parameters of glibc's mallopt."""
_ALSO_SAID_BY = ("TRIM_THRESHOLD", "MMAP_THRESHOLD", "MMAP_MAX")
"""Of glibc's environment variables: MALLOC_..._, or glibc.malloc.... in GLIBC_TUNABLES."""


def keep_freed_memory(*, bounded: bool = True) -> None:
    """Have glibc keep what tensors free for the next ones; its environment variables win.

    By default glibc gives it back to the kernel, which clears each page when it is used again. That takes up
    to a third of a step on large batches.

    Args:
        bounded: keep some 256 MB, and let tensors above 32 MB come and go; else keep all.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    said = any(
        f"MALLOC_{name}_" in os.environ or f"glibc.malloc.{name.lower()}=" in tunables
        for name in _ALSO_SAID_BY
    )
    if sys.platform == "linux" and not said:
        import ctypes

        if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
            mallopt(_M_TRIM_THRESHOLD, 2**28 if bounded else 2**31 - 1)
            mallopt(*(_M_MMAP_THRESHOLD, 2**25) if bounded else (_M_MMAP_MAX, 0))
