"""What is counted: the parts of a split codec, and the ways to run its decoder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FLOPS_PER_MULTIPLY_ADD = 2


class Decoding(StrEnum):
    """How the semantic decoder runs over the T target tokens."""

    TEACHER_FORCED = "teacher-forced"
    """One pass over all T tokens, as in training; the masked half of the self-attention is computed too."""
    GREEDY_NO_CACHE = "greedy, no cache"
    """Step t runs the decoder over t tokens again, keys and values of the source included."""
    GREEDY_KV_CACHE = "greedy, KV cache"
    """`TextCodec.generate`: step t runs one token; keys and values of earlier tokens are kept."""


@dataclass(frozen=True, kw_only=True)
class PartFlops:
    """FLOPs per task (B = 1) of each part of a split codec."""

    encoder: int
    """Semantic encoder, at the UE."""
    jsc_encoder: int
    """JSC encoder, at the UE."""
    jsc_decoder: int | None
    """JSC decoder, at the server; None where the method leaves it out, as Appendix A does."""
    decoder: int
    """Semantic decoder with the vocabulary layer, at the server."""

    @property
    def local(self) -> int:
        """Whole task at the UE, which needs no JSC codec: eq. (3)'s l."""
        return self.encoder + self.decoder

    @property
    def ue(self) -> int:
        """UE's share of an offloaded task."""
        return self.encoder + self.jsc_encoder

    @property
    def server(self) -> int:
        """Server's share of an offloaded task, as far as the method counts it."""
        return (self.jsc_decoder or 0) + self.decoder
