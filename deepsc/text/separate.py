"""Sentences by separate source and channel coding: the digital baseline of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.text.parallel import Pair
from data.text.tokenizer import encode_within
from deepsc.digital import Digital, TextSource, channel_code
from deepsc.link.channel import Channel
from deepsc.modality import Checkpoint
from deepsc.text.config import TextCodecConfig
from deepsc.text.evaluate import BleuStatistics


def separate_text(
    checkpoint: Checkpoint,
    pairs: Sequence[Pair],
    counts: NDArray[np.int64],
    *,
    train: Sequence[Pair],
    tokenize: str,
    channel: Channel,
    code: str,
) -> Digital:
    """The baseline on test pairs; see `deepsc.digital`.

    Args:
        checkpoint: the local model, whose tokens make the number of channel uses.
        pairs: test sentences.
        counts: what the local model scores on them, (pairs, statistics).
        train: pairs that the source codes take their statistics from.
        tokenize: sacreBLEU's tokenizer.
        channel: the uplink.
        code: name of the channel code.

    Raises:
        ToolkitError: if there is no such code, or its packages are missing.
    """
    config, tokenizer = checkpoint.codec.config, checkpoint.tokenizer
    assert isinstance(config, TextCodecConfig)
    assert tokenizer is not None
    sources = [source for source, _ in pairs]
    ids = encode_within(tokenizer, sources, max_length=config.max_length)
    coder = TextSource(
        [source for source, _ in train], tokenizer, vocab_size=config.vocab_size, max_length=config.max_length
    )
    bits, shares = coder.sizes(sources)
    references = [reference for _, reference in pairs]
    return Digital(
        bits=bits[:, None],
        outcome=lambda items, _: counts[items],
        nothing=BleuStatistics([""] * len(pairs), references, tokenize=tokenize).counts,
        tokens=np.array([len(row) for row in ids]),
        channel=channel,
        code=channel_code(code),
        figures={f"share coded by {name}": share for name, share in shares.items()},
    )
